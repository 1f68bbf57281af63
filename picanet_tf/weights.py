"""Moving weights between models: by variable path, never by order."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import keras

from picanet_tf import layers  # noqa: F401  registers the layers for loading
from picanet_tf.backbones import vgg16  # noqa: F401  as above
from picanet_tf.errors import PicanetError


class Transfer(NamedTuple):
    """What `copy_weights` did.

    Attributes:
        taken: paths of the variables that got the source's values.
        fresh: paths of the target's variables that the source lacks.
        left: paths of the source's variables that the target lacks.
        mismatched: (path, source's shape, target's shape) of those that differ.
    """

    taken: tuple[str, ...]
    fresh: tuple[str, ...]
    left: tuple[str, ...]
    mismatched: tuple[tuple[str, tuple, tuple], ...]

    @property
    def complete(self) -> bool:
        return not (self.fresh or self.mismatched)

    def __str__(self) -> str:
        lines = [f"{len(self.taken)} variables taken"]
        lines += [f"  fresh, not in the source: {path}" for path in self.fresh]
        lines += [f"  left, not in this network: {path}" for path in self.left]
        lines += [
            f"  fresh, of another shape: {path}, {theirs} there and {ours} here"
            for path, theirs, ours in self.mismatched
        ]
        return "\n".join(lines)


def copy_weights(source: keras.Model, target: keras.Model, *, partial=False):
    """Copies the weights of the variables that both models have.

    Args:
        source, target: built models.
        partial: allow variables of the target that the source cannot fill.

    Returns:
        A `Transfer`.

    Raises:
        PicanetError: not `partial` and the source does not fill the whole target; or
            nothing could be taken. The target is then unchanged.
    """
    theirs = {variable.path: variable for variable in source.weights}
    ours = {variable.path: variable for variable in target.weights}
    common = [path for path in ours if path in theirs]
    taken = [path for path in common if ours[path].shape == theirs[path].shape]
    transfer = Transfer(
        tuple(taken),
        tuple(path for path in ours if path not in theirs),
        tuple(path for path in theirs if path not in ours),
        tuple(
            (path, tuple(theirs[path].shape), tuple(ours[path].shape))
            for path in common
            if ours[path].shape != theirs[path].shape
        ),
    )
    if not taken:
        raise PicanetError(f"The models {source.name} and {target.name} share nothing")
    if not partial and not transfer.complete:
        raise PicanetError(
            f"The weights of {source.name} do not fill {target.name}: {transfer}"
        )
    for path in taken:
        ours[path].assign(theirs[path].numpy())
    return transfer


def load_keras(path: Path) -> keras.Model:
    """Loads a `.keras` file of this project.

    Raises:
        PicanetError: the file cannot be read as one.
    """
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "?"
        raise PicanetError(f"Cannot load the model {path}: {reason}") from error
