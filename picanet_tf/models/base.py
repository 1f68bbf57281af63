"""`Network`, a Keras model that stores its configuration."""

from __future__ import annotations

import contextlib
import dataclasses
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras

from picanet_tf.backbones.vgg16_weights import load_vgg16_weights
from picanet_tf.core.errors import PicanetError
from picanet_tf.layers import LSTMOptions
from picanet_tf.models.context_modules import ATTENTIVE
from picanet_tf.models.weights import copy_weights, load_preset_weights
from picanet_tf.presets import Preset, preset_for

# Only the registry of names; a task is imported when its network is built or loaded.
from picanet_tf.tasks.registry import get_task

if TYPE_CHECKING:
    from picanet_tf.models.context_modules import AttachPoint
    from picanet_tf.tasks.base import Task


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """The full configuration of a network, without its weights.

    Attributes:
        task, variant: names of the task and variant.
        image_size: side of the square input, in pixels.
        width: factor on the paper's channel counts.
        classes: number of classes, for tasks that have classes; None for the task's
            default.
        dropout: dropout rate.
        seed: seed of the dropout layers.
        return_attention: whether to output the attention of every attentive module.
        lstm_options: options of ReNet's LSTMs.
        dtype: dtype policy of the layers.

    Raises:
        PicanetError: if the width is not above 0, the image size is no whole number,
            or there are fewer than 2 classes.
    """

    task: str
    variant: str
    image_size: int
    width: float = 1.0
    classes: int | None = None
    dropout: float = 0.5
    seed: int | None = None
    return_attention: bool = False
    lstm_options: LSTMOptions = LSTMOptions()
    dtype: str = "float32"

    def __post_init__(self):
        if not 0 < self.width < float("inf"):
            raise PicanetError(f"`width` must be above 0. Received: width={self.width}")
        if not isinstance(self.image_size, numbers.Integral):
            raise PicanetError(
                f"`image_size` must be a whole number. Received: {self.image_size!r}"
            )
        object.__setattr__(self, "image_size", int(self.image_size))
        if self.classes is not None and self.classes < 2:
            raise PicanetError(
                f"`classes` must be at least 2. Received: classes={self.classes}"
            )


@keras.saving.register_keras_serializable(package="picanet_tf")
class Network(keras.Model):
    """A functional model of one of the tasks, created by `Task.build_model`.

    `get_config` returns its `NetworkConfig`, so that

        Network.from_config({**network.get_config(), "image_size": 320})

    creates the same network for another input size, with random weights. The
    configuration also names the layers that are frozen, if any are.

    Args:
        inputs, outputs: inputs and outputs of the functional model.
        config: the configuration it was built with.

    Attributes:
        config: the configuration.
        task: the `tasks.base.Task`.
        variant, image_size: from the configuration.
        attach_points: {key: location of its context module}, coarse to fine.
        attentive_points: the attach points whose modules have an attention.
    """

    def __init__(self, inputs, outputs, config: NetworkConfig):
        name = get_task(config.task).network_name + config.variant
        super().__init__(inputs=inputs, outputs=outputs, name=name)
        self.config = config

    @property
    def task(self) -> Task:
        return get_task(self.config.task)

    @property
    def variant(self) -> str:
        return self.config.variant

    @property
    def image_size(self) -> int:
        return self.config.image_size

    @property
    def attach_points(self) -> dict[int, AttachPoint]:
        return self.task.attach_points(self.variant)

    @property
    def attentive_points(self) -> tuple[AttachPoint, ...]:
        points = self.attach_points.values()
        return tuple(point for point in points if point.kind in ATTENTIVE)

    def get_config(self) -> dict:
        frozen = [layer.name for layer in self.layers if not layer.trainable]
        config = dataclasses.asdict(self.config)
        return {**config, "frozen": frozen} if frozen else config

    @classmethod
    def from_config(cls, config: Mapping) -> Network:
        """Builds the network of a configuration, with random weights.

        Raises:
            PicanetError: if a setting is invalid or the task unknown.
        """
        config = dict(config)
        frozen = config.pop("frozen", ())
        lstm_options = LSTMOptions.convert(config.pop("lstm_options", None))
        network = build(NetworkConfig(**config, lstm_options=lstm_options))
        for name in frozen:
            network.get_layer(name).trainable = False
        return network

    def rebuild(self, **changes) -> Network:
        """Returns a copy with changed settings and the same weights.

        Args:
            **changes: settings of `NetworkConfig`, such as `image_size`.

        Raises:
            PicanetError: if a setting is invalid, or the weights do not fit the new
                image size.
        """
        network = self.from_config({**self.get_config(), **changes})
        try:
            copy_weights(self, network)
        except PicanetError as error:
            raise PicanetError(
                f"The network {self.name} was trained at image_size {self.image_size} "
                f"and cannot run at {network.image_size}, where its GAP has a "
                f"different grid. ({error})"
            ) from error
        return network


def build(config: NetworkConfig) -> Network:
    """Builds a network with random weights.

    Raises:
        PicanetError: if a setting is invalid.
    """
    task = get_task(config.task)
    task.spec.parse_variant(config.variant)
    task.spec.check_image_size(config.variant, config.image_size)
    side = config.image_size
    try:
        with dtype_policy(config.dtype):
            image = keras.Input([side, side, 3], dtype="float32", name="image")
            return Network(image, task.build_outputs(image, config), config)
    except PicanetError:
        raise
    except ValueError as error:  # Raised by layers, e.g. for a grid that is too large.
        raise PicanetError(str(error)) from error


def build_network(
    task: Task,
    weights: str | None,
    *,
    variant: str | None,
    image_size: int | None,
    width: float,
    dropout: float | None,
    lstm_options: LSTMOptions | Mapping | None,
    dtype: str | None,
    **settings,
) -> Network:
    """Implements `tasks.base.Task.build_model`, which documents the arguments."""
    spec = task.spec
    preset = preset_for(weights, spec.name, variant)
    if preset:
        variant, width = preset.variant, _width_of(preset, width)
    variant = variant or spec.default_variant
    if image_size is None:
        image_size = preset.image_size if preset else spec.default_image_size(variant)
    network = build(
        NetworkConfig(
            task=spec.name,
            variant=variant,
            image_size=image_size,
            width=width,
            dropout=spec.dropout if dropout is None else dropout,
            lstm_options=LSTMOptions.convert(lstm_options),
            dtype=keras.dtype_policies.get(dtype or keras.config.dtype_policy()).name,
            **settings,
        )
    )
    if preset:
        load_preset_weights(network, preset)
    elif weights is not None:
        load_vgg16_weights(network, weights)
    return network


@contextlib.contextmanager
def dtype_policy(name: str):
    """Context manager that sets the global dtype policy, and channels last."""
    before = keras.config.dtype_policy(), keras.config.image_data_format()
    keras.config.set_dtype_policy(name)
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before[0])
        keras.config.set_image_data_format(before[1])


def _width_of(preset: Preset, width: float) -> float:
    if width not in (1.0, preset.width):
        raise PicanetError(
            f"The preset {preset.name} has width {preset.width}. Received: "
            f"width={width}. Omit `width`"
        )
    return preset.width
