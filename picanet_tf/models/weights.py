"""Transfers weights between models by variable path, never by order."""

from __future__ import annotations

import json
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
from picanet_tf.tasks.registry import get_spec

_MOST_SWELLING = 20  # Maximum ratio of unpacked to packed size of a .keras file.
_MOST_WEIGHTS = 4  # Maximum ratio of its network's weights to its unpacked size.


class WeightTransfer(NamedTuple):
    """The result of `copy_weights`.

    Attributes:
        loaded: paths of the variables that were copied.
        missing: paths of the target's variables that the source lacks.
        unexpected: paths of the source's variables that the target lacks.
        mismatched: (path, source's shape, target's shape) where the shapes differ.
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
        lines += [f"  missing from the source: {path}" for path in self.missing]
        lines += [
            f"  unexpected, not in this network: {path}" for path in self.unexpected
        ]
        lines += [
            f"  shape mismatch: {path}, {theirs} in the source and {ours} here"
            for path, theirs, ours in self.mismatched
        ]
        return "\n".join(lines)


def copy_weights(source: keras.Model, target: keras.Model, *, partial=False):
    """Copies the weights of the variables that both models have.

    Args:
        source, target: built models.
        partial: allow target variables without a counterpart in the source.

    Returns:
        A `WeightTransfer`.

    Raises:
        PicanetError: if no variable can be copied, or without `partial`, if not all
            can. The target is then unchanged.
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
    """Assigns arrays to the variables of a model with matching paths and shapes.

    Args:
        arrays: {variable path: array or variable}.
        target: a built model.
        name: name of the source in error messages.
        partial: see `copy_weights`.

    Returns:
        A `WeightTransfer`.

    Raises:
        PicanetError: as `copy_weights`.
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
    """Loads a preset's weights into a model; returns and raises as `copy_weights`."""
    arrays = read_arrays(preset.path("weights"))
    return assign_weights(arrays, model, f"the preset {preset.name}", partial=partial)


def load_keras(path: Path) -> keras.Model:
    """Loads a `.keras` file of this project without running code contained in it.

    Raises:
        PicanetError: if the file cannot be loaded.
    """
    try:
        _check_archive(Path(path))
        # A call of `enable_unsafe_deserialization` would override the argument alone.
        with SafeModeScope(True):
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Corrupt files may raise anything.
        lines = str(error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        raise PicanetError(f"Cannot load the model {path}: {reason[:300]}") from error


def _check_archive(path: Path) -> None:
    """Rejects files that are not archives, and archives that expand excessively.

    Keras stores members uncompressed, and reads each one completely into memory.
    """
    if not path.is_file():
        raise ValueError("no such file" if not path.exists() else "not a file")
    try:
        path.open("rb").close()  # zipfile would hide the reason for the failure.
    except OSError as error:
        raise ValueError(error.strerror) from error
    if not zipfile.is_zipfile(path):
        raise ValueError("not a .keras archive, or a truncated one")
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        most = _MOST_SWELLING * path.stat().st_size + 2**20
        if unpacked > most:
            raise ValueError(f"it unpacks to {unpacked:,} bytes, {most:,} are accepted")
        _check_width(archive.read("config.json"), unpacked)


def _check_width(config: bytes, size: int) -> None:
    """Rejects a network whose config implies far more weights than the file contains.

    Keras builds the network, and so allocates its weights, before reading any.
    """
    try:
        settings = json.loads(config)["config"]
        weights, _ = get_spec(settings["task"]).memory(settings["variant"])
        wanted = 4 * weights * max(settings["width"], 0) ** 2
    except (PicanetError, KeyError, TypeError, ValueError, OverflowError):
        return  # Not a valid network of ours, which is reported on building it.
    if wanted > _MOST_WEIGHTS * size + 2**24:
        raise ValueError(
            f"`width` {settings['width']} implies a network of {wanted:,.0f} bytes. "
            f"Received: {size:,} bytes"
        )
