"""A network by itself: which task's it is, which variant, and the same once more."""

from __future__ import annotations

from typing import NamedTuple

import keras

from picanet_tf.backbones.vgg16 import width_of
from picanet_tf.context import ATTENTIVE
from picanet_tf.errors import PicanetError
from picanet_tf.recipes import RECIPES
from picanet_tf.seams import AttachPoint
from picanet_tf.tasks import TASKS, Task
from picanet_tf.weights import copy_weights


class Identity(NamedTuple):
    """What a network's name and outputs tell.

    Attributes:
        task_name: key of `TASKS` and `RECIPES`.
        task: its record.
        variant: which network of that task.
    """

    task_name: str
    task: Task
    variant: str

    @property
    def attach_points(self) -> dict[int, AttachPoint]:
        """Where its context modules are, coarse to fine."""
        return self.task.attach_points(self.variant)

    @property
    def attentive(self) -> tuple[AttachPoint, ...]:
        """Those whose module has an attention."""
        points = self.attach_points.values()
        return tuple(point for point in points if point.kind in ATTENTIVE)


def identify(network: keras.Model) -> Identity:
    """Which network of `build_model` this is.

    Raises:
        PicanetError: of none.
    """
    # The longest first: one task's name may begin as another's.
    by_name = sorted(TASKS.items(), key=lambda item: len(item[1].name), reverse=True)
    name = next((n for n, task in by_name if network.name.startswith(task.name)), None)
    name = name or by_name[-1][0]
    task = TASKS[name]
    variant = network.name.removeprefix(task.name)
    outputs = getattr(network, "output", None)  # A Sequential may have none yet.
    try:
        RECIPES[name].parse_variant(variant)
    except ValueError as error:
        raise PicanetError(f"The network's name: {error}") from error
    try:
        scores = tuple(task.prediction.finest(outputs).shape)
    except (KeyError, TypeError, ValueError) as error:
        raise PicanetError(
            f"The network {network.name} has no outputs of a {name} network"
        ) from error
    shape = tuple(getattr(network.input, "shape", ()))  # Several inputs have none.
    wanted = task.prediction.output_shape
    square = shape == (None, *shape[1:2] * 2, 3) and shape[1] is not None
    if not square or len(scores) != len(wanted) or scores[-1] != wanted[-1]:
        raise PicanetError(
            f"The network {network.name} must take images [side, side, 3] and give "
            f"{wanted}. Received: {shape} and {scores}"
        )
    return Identity(name, task, variant)


def rebuilt(
    trained: keras.Model, image_size: int | None = None, **options
) -> keras.Model:
    """The same network once more, with the trained one's weights.

    Built under the global dtype policy, not under the one that it was trained with.

    Args:
        trained: a network of `build_model`.
        image_size: side of the input, in pixels; by default the trained one's.
        **options: of `build_model`. `use_cudnn` and `unroll` do not survive
            `clone_model` or `load_model`, so this is the way to set them.

    Raises:
        PicanetError: an image size at which the network cannot be built, or at which
            its weights do not fit.
    """
    _, task, variant = identify(trained)
    size = image_size or trained.input.shape[1]
    try:
        network = task.build_model(
            variant, size, width=width_of(trained), dropout=0.0, **options
        )
    except PicanetError:
        raise
    except ValueError as error:
        raise PicanetError(str(error)) from error
    try:
        copy_weights(trained, network)
    except PicanetError as error:
        before = trained.input.shape[1]
        reason = (
            f"was trained at image_size {before} and cannot be moved to {size}, where "
            "its GAP has another grid"
            if size != before
            else "is not what its name says"
        )
        raise PicanetError(f"The network {trained.name} {reason}. ({error})") from error
    return network
