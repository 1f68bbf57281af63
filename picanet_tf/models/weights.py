"""Moving weights between models: by variable path, never by order."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras.src.saving.serialization_lib import SafeModeScope

from picanet_tf import layers  # noqa: F401  registers the layers for loading
from picanet_tf.backbones import vgg16  # noqa: F401  as above
from picanet_tf.core.errors import PicanetError
from picanet_tf.presets import Preset
from picanet_tf.presets.arrays import read_arrays

_MOST_SWELLING = 20  # Times its size that a .keras file may unpack to.


class WeightTransfer(NamedTuple):
    """What `copy_weights` did.

    Attributes:
        loaded: paths of the variables that got the source's values.
        missing: paths of the target's variables that the source lacks.
        unexpected: paths of the source's variables that the target lacks.
        mismatched: (path, source's shape, target's shape) of those that differ.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[tuple[str, tuple, tuple], ...]

    @property
    def complete(self) -> bool:
        return not (self.missing or self.mismatched)

    def __str__(self) -> str:
        lines = [f"{len(self.loaded)} variables loaded"]
        lines += [f"  missing in the source: {path}" for path in self.missing]
        lines += [
            f"  unexpected, not in this network: {path}" for path in self.unexpected
        ]
        lines += [
            f"  of another shape: {path}, {theirs} there and {ours} here"
            for path, theirs, ours in self.mismatched
        ]
        return "\n".join(lines)


def copy_weights(source: keras.Model, target: keras.Model, *, partial=False):
    """Copies the weights of the variables that both models have.

    Args:
        source, target: built models.
        partial: allow variables of the target that the source cannot fill.

    Returns:
        A `WeightTransfer`.

    Raises:
        PicanetError: not `partial` and the source does not fill the whole target; or
            nothing could be loaded. The target is then unchanged.
    """
    arrays = {variable.path: variable for variable in source.weights}
    return assign_weights(arrays, target, source.name, partial=partial)


def assign_weights(
    arrays: Mapping[str, np.ndarray],
    target: keras.Model,
    name: str,
    *,
    partial: bool = False,
) -> WeightTransfer:
    """Gives a model the arrays whose paths and shapes are those of its variables.

    Args:
        arrays: {variable path: array or variable}.
        target: a built model.
        name: what errors call the source.
        partial: as of `copy_weights`.

    Returns, raises: as `copy_weights`.
    """
    ours = {variable.path: variable for variable in target.weights}
    common = [path for path in ours if path in arrays]
    loaded = [path for path in common if ours[path].shape == arrays[path].shape]
    transfer = WeightTransfer(
        tuple(loaded),
        tuple(path for path in ours if path not in arrays),
        tuple(path for path in arrays if path not in ours),
        tuple(
            (path, tuple(arrays[path].shape), tuple(ours[path].shape))
            for path in common
            if ours[path].shape != arrays[path].shape
        ),
    )
    if not loaded:
        raise PicanetError(
            f"The models {name} and {target.name} have no variable in common"
        )
    if not partial and not transfer.complete:
        raise PicanetError(
            f"The weights of {name} do not fill {target.name}: {transfer}"
        )
    for path in loaded:
        ours[path].assign(np.asarray(arrays[path]))
    return transfer


def load_preset_weights(model: keras.Model, preset: Preset, *, partial=False):
    """Gives a model a preset's weights; returns and raises what `copy_weights` does."""
    arrays = read_arrays(preset.path("weights"))
    return assign_weights(arrays, model, f"the preset {preset.name}", partial=partial)


def load_keras(path: Path) -> keras.Model:
    """Loads a `.keras` file of this project; no code that the file brings is run.

    Raises:
        PicanetError: the file cannot be read as one.
    """
    try:
        _check_archive(Path(path))
        # The argument alone yields to an `enable_unsafe_deserialization` elsewhere.
        with SafeModeScope(True):
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Of a spoilt file: BadZipFile, AttributeError, any.
        lines = str(error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        raise PicanetError(f"Cannot load the model {path}: {reason[:300]}") from error


def _check_archive(path: Path) -> None:
    """Refuses what is no archive, or one that would unpack to far more than it is.

    Keras stores its members as they are, and reads each of them whole.
    """
    if not path.is_file():
        raise ValueError("no such file" if not path.exists() else "not a file")
    try:
        path.open("rb").close()  # zipfile would say only that it is no archive.
    except OSError as error:
        raise ValueError(error.strerror) from error
    if not zipfile.is_zipfile(path):
        raise ValueError("not a .keras archive, or a truncated one")
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    most = _MOST_SWELLING * path.stat().st_size + 2**20
    if unpacked > most:
        raise ValueError(f"it unpacks to {unpacked:,} bytes, {most:,} are accepted")
