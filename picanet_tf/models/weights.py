"""Transfers weights between models by variable path, never by order."""

from __future__ import annotations

import contextlib
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

_MAX_EXPANSION = 20  # Maximum ratio of unpacked to packed size of a .keras file.
_MAX_WEIGHTS = 4  # Maximum ratio of its network's weights to its unpacked size.


class NothingFits(PicanetError):
    """No layer of a network fits the other network."""


class WeightTransfer(NamedTuple):
    """The result of `copy_weights`.

    Attributes:
        loaded: paths of the variables that were copied.
        missing: paths of the target's variables that the source lacks.
        unexpected: paths of the source's variables that the target lacks.
        mismatched: (path, source's shape, target's shape) where the shapes differ.
        left_out: paths of variables that fit, but belong to a layer of which another
            variable is missing or mismatched.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[tuple[str, tuple, tuple], ...]
    left_out: tuple[str, ...] = ()

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
        lines += [
            f"  not loaded, as the rest of its layer does not fit: {path}"
            for path in self.left_out
        ]
        return "\n".join(lines)


def copy_weights(source: keras.Model, target: keras.Model, *, partial=False):
    """Copies the weights of the layers that both models have.

    Args:
        source, target: built models.
        partial: allow target layers without a counterpart in the source. A layer is
            copied as a whole or not at all, because the statistics of a norm, for
            instance, mean nothing without the number of batches that they average.

    Returns:
        A `WeightTransfer`.

    Raises:
        NothingFits: if no kernel can be copied. The target is then unchanged.
        PicanetError: without `partial`, if not all variables can be copied, likewise.
    """
    arrays = {variable.path: variable for variable in source.weights}
    return assign_weights(
        arrays, target, source.name, partial=partial, whole_layers=True
    )


def assign_weights(
    arrays: Mapping[str, np.ndarray],
    target: keras.Model,
    name: str,
    *,
    partial: bool = False,
    whole_layers: bool = False,
) -> WeightTransfer:
    """Assigns arrays to the variables of a model with matching paths and shapes.

    Args:
        arrays: {variable path: array or variable}.
        target: a built model.
        name: name of the source in error messages.
        partial: allow target variables without a counterpart in the arrays.
        whole_layers: skip layers of which a variable is missing or mismatched.

    Returns:
        A `WeightTransfer`.

    Raises:
        PicanetError: as `copy_weights`.
    """
    ours = {variable.path: variable for variable in target.weights}
    common = [path for path in ours if path in arrays]
    fitting = [path for path in common if ours[path].shape == arrays[path].shape]
    incomplete = {_layer_of(path) for path in ours.keys() - set(fitting)}
    loaded = [
        path
        for path in fitting
        if not whole_layers or _layer_of(path) not in incomplete
    ]
    transfer = WeightTransfer(
        tuple(loaded),
        tuple(path for path in ours if path not in arrays),
        tuple(path for path in arrays if path not in ours),
        tuple(
            (path, tuple(arrays[path].shape), tuple(ours[path].shape))
            for path in common
            if ours[path].shape != arrays[path].shape
        ),
        tuple(path for path in fitting if path not in loaded),
    )
    if not any(path.endswith("kernel") for path in loaded):
        raise NothingFits(
            f"No weights of {name} fit {target.name}: {_reason(transfer)}"
        )
    if not partial and not transfer.complete:
        raise PicanetError(
            f"The weights of {name} do not fill {target.name}: {transfer}"
        )
    for path in loaded:
        ours[path].assign(np.asarray(arrays[path]))
    return transfer


def _layer_of(path: str) -> str:
    return path.rpartition("/")[0]


def _reason(transfer: WeightTransfer) -> str:
    """Returns why no kernel could be copied."""
    if not transfer.mismatched:
        return "they have no variable in common"
    # Every network takes RGB, so the first layer differs only if the widths do.
    path, theirs, ours = transfer.mismatched[0]
    return (
        f"the shapes of {len(transfer.mismatched)} variables differ, such as {path} "
        f"with {theirs} there and {ours} here"
    )


def load_preset_weights(model: keras.Model, preset: Preset, *, partial=False):
    """Loads a preset's weights into a model.

    Args, returns and raises as `copy_weights`; the preset is the source.
    """
    arrays = read_arrays(preset.path("weights"))
    return assign_weights(
        arrays,
        model,
        f"the preset {preset.name}",
        partial=partial,
        whole_layers=True,
    )


def load_keras(path: Path, dtype: str | None = None) -> keras.Model:
    """Loads a `.keras` file of this project without running code contained in it.

    Args:
        path: the file.
        dtype: dtype policy of the layers; None: the file's.

    Raises:
        PicanetError: if the file cannot be loaded.
    """
    try:
        _check_archive(Path(path))
        # A call of `enable_unsafe_deserialization` would override the argument alone.
        with SafeModeScope(True), _networks_in(dtype):
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Corrupt files may raise anything.
        lines = str(error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        raise PicanetError(f"Cannot load the model {path}: {reason[:300]}") from error


def _networks_in(dtype: str | None):
    """Context manager in which Keras builds the networks of files in a dtype policy."""
    if dtype is None:
        return contextlib.nullcontext()
    from picanet_tf.models import base

    class Network:  # Keras' messages name it.
        @staticmethod
        def from_config(config: Mapping) -> keras.Model:
            return base.Network.from_config({**config, "dtype": dtype})

    name = keras.saving.get_registered_name(base.Network)
    return keras.saving.custom_object_scope({name: Network})


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
        most = _MAX_EXPANSION * path.stat().st_size + 2**20
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
    if wanted > _MAX_WEIGHTS * size + 2**24:
        raise ValueError(
            f"`width` {settings['width']} implies a network of {wanted:,.0f} bytes. "
            f"Received: {size:,} bytes"
        )
