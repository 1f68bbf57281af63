"""Weights of a preset: arrays by variable path, kernels as int8. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from picanet_tf.core.errors import PicanetError

_SCALE = ":scale"  # Variable paths contain no colon.


def quantize(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Quantizes kernels to int8 with a scale per output channel.

    Args:
        arrays: {variable path: float array}; arrays of rank 2 or more are kernels,
            with the output channels in the last axis.

    Returns:
        {path: int8 [..., C], path + ":scale": float32 [C]} for kernels, {path: float32}
        for other arrays. The value is `int8 * scale`, and the largest magnitude of a
        channel maps to 127, as in TFLite's dynamic-range quantisation, so that
        quantizing again is lossless.

    Raises:
        PicanetError: if a value is not finite.
    """
    stored = {}
    for path, value in arrays.items():
        value = np.asarray(value, np.float32)
        if not np.isfinite(value).all():
            raise PicanetError(f"{path} has values that are not finite")
        if value.ndim < 2:
            stored[path] = value
            continue
        largest = np.abs(value).max(axis=tuple(range(value.ndim - 1)))
        scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
        stored[path] = np.round(value / scale).astype(np.int8)
        stored[path + _SCALE] = scale
    return stored


def dequantize(stored: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Restores {variable path: float32 array} from `quantize`; keeps plain arrays."""
    return {
        path: value.astype(np.float32) * stored[path + _SCALE]
        if path + _SCALE in stored
        else value.astype(np.float32)
        for path, value in stored.items()
        if not path.endswith(_SCALE)
    }


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Reads an `.npz` of quantized or plain float weights.

    Returns:
        {variable path: float32 array}.

    Raises:
        PicanetError: if the file cannot be read or is not such an `.npz`.
    """
    try:
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):  # a single `.npy` array
                raise ValueError("not an .npz")
            stored = {name: archive[name] for name in archive.files}
    # Corrupt files raise BadZipFile, zlib.error, EOFError, KeyError, SyntaxError, ...
    except Exception as error:
        lines = getattr(error, "strerror", None) or str(error).strip().splitlines()[:1]
        reason = lines if isinstance(lines, str) else "".join(lines) or repr(error)
        raise PicanetError(f"Cannot read the weights {path}: {reason[:300]}") from error
    _check(stored, path)
    return dequantize(stored)


def _check(stored: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Raises `PicanetError` unless `dequantize` accepts these arrays."""
    kinds = [getattr(value, "dtype", np.dtype(object)) for value in stored.values()]
    if all(name.endswith(_SCALE) for name in stored) or not all(
        np.issubdtype(kind, np.floating) or kind == np.int8 for kind in kinds
    ):
        raise PicanetError(f"{path} must hold arrays of weights, float or int8")
    for name, value in stored.items():
        scale = stored.get(name + _SCALE)
        if scale is None and value.dtype == np.int8:
            raise PicanetError(f"{path}: {name} is int8 and has no scale")
        if scale is not None and scale.shape != value.shape[-1:]:
            raise PicanetError(
                f"{path}: {name + _SCALE} must have the length of the last axis of "
                f"{value.shape}. Received: {scale.shape}"
            )
