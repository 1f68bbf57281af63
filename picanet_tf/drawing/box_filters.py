"""Box filters, and working copies of limited size. Does not import TensorFlow."""

from __future__ import annotations

import numpy as np
from PIL import Image

# Photos are analysed with their longer side reduced to this; the results, which are
# smooth, are enlarged to the photo's size.
WORKING_SIDE = 512


def box_mean(values: np.ndarray, radius: int) -> np.ndarray:
    """Averages over windows of 2 radius + 1 pixels a side, clipped at the borders.

    Args:
        values: [H, W, ...], of any real dtype.
        radius: in pixels.

    Returns:
        float32 of the same shape.
    """
    for axis in (0, 1):
        length = values.shape[axis]
        first = np.maximum(np.arange(length) - radius, 0)
        last = np.minimum(np.arange(length) + radius + 1, length)
        # In float64: the differences of long float32 sums would be inexact.
        sums = np.cumsum(values, axis, dtype=np.float64)
        sums = np.concatenate([np.zeros_like(sums.take([0], axis)), sums], axis)
        values = sums.take(last, axis) - sums.take(first, axis)
        values /= np.expand_dims(
            last - first, [i for i in range(values.ndim) if i != axis]
        )
    return values.astype(np.float32)


def working_size(size: tuple[int, int], side: int = WORKING_SIDE) -> tuple[int, int]:
    """Returns (height, width) with the longer side reduced to `side` at most."""
    factor = min(1, side / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def window_radius(fraction: float, size: tuple[int, int]) -> int:
    """Returns a fraction of the longer side, in pixels; at least 1."""
    return max(1, round(fraction * max(size)))


def shrink(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Reduces an array to `size` (height, width) by averaging.

    Args:
        values: uint8 [H, W, 3], or float [H, W].
        size: (height, width) of the result, at most that of `values`.

    Returns:
        float32; uint8 is scaled to 0..1.
    """
    colours = values.dtype == np.uint8
    if values.shape[:2] != tuple(size):
        picture = Image.fromarray(values if colours else values.astype(np.float32))
        values = np.asarray(picture.resize(size[::-1], Image.Resampling.BOX))
    return np.float32(values) / 255 if colours else np.float32(values)
