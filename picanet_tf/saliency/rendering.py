"""A saliency map as a picture: what `predict.py --format` offers. No TensorFlow."""

from __future__ import annotations

import numpy as np
from PIL import Image

FORMATS = ("map", "mask", "cutout", "overlay", "panel")

_PANEL_TILE = 1024  # the longer side of a panel's tile at most, in pixels
_GAP = 4


def render(
    form: str, image: np.ndarray, saliency: np.ndarray, threshold: float = 0.5
) -> np.ndarray:
    """Draws a saliency map in one of `FORMATS`.

    Args:
        form: `"map"`: grey; `"mask"`: 255 where the map reaches `threshold`, else 0;
            `"cutout"`: the image, with the map as alpha; `"overlay"`: the map's heat
            over the image; `"panel"`: image, map, overlay and cut-out side by side,
            no tile longer than 1024 pixels.
        image: uint8 [H, W, 3].
        saliency: float [H, W] in [0, 1].
        threshold: of `"mask"`.

    Returns:
        uint8 [H, W], [H, W, 4] of a cut-out, [H, W, 3] of an overlay, or a panel.
    """
    if form == "map":
        return grey(saliency)
    if form == "mask":
        return np.uint8(saliency >= threshold) * np.uint8(255)
    if form == "cutout":
        return np.dstack([image, grey(saliency)])
    if form == "overlay":
        return overlay(image, saliency)
    if form == "panel":
        return _side_by_side(image, saliency)
    raise ValueError(f"`form` must be one of {FORMATS}. Received: form={form!r}")


def grey(values: np.ndarray) -> np.ndarray:
    """float in 0..1 -> uint8 in 0..255, rounded."""
    return np.uint8(np.round(np.clip(values, 0, 1) * 255))


def heat(values: np.ndarray, colormap: str = "turbo") -> np.ndarray:
    """float [H, W] in 0..1 -> uint8 [H, W, 3], by a colormap of matplotlib."""
    from matplotlib import colormaps

    table = np.uint8(np.round(colormaps[colormap](np.arange(256))[:, :3] * 255))
    return table[grey(values)]


def overlay(image: np.ndarray, values: np.ndarray, opacity: float = 0.55) -> np.ndarray:
    """The heat of `values` over the image.

    Args:
        image: uint8 [H, W, 3].
        values: float [H, W] in 0..1; where NaN, the image stays as it is.
        opacity: of the heat, 0..1.

    Returns:
        uint8 [H, W, 3].
    """
    unpainted = np.isnan(values)[..., np.newaxis]
    colours = heat(np.nan_to_num(values)).astype(np.float32)
    mixed = np.uint8(np.round((1 - opacity) * image + opacity * colours))
    return np.where(unpainted, image, mixed)


def as_rgb(values: np.ndarray) -> np.ndarray:
    """uint8 [H, W] -> uint8 [H, W, 3]."""
    return np.repeat(values[..., np.newaxis], 3, axis=-1)


def scaled_to(image: np.ndarray, longest: int) -> np.ndarray:
    """A uint8 image, of which the longer side becomes `longest` pixels."""
    height, width = image.shape[:2]
    factor = longest / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """float [H, W] -> float32 of the size (height, width), bilinear."""
    if values.shape == tuple(size):
        return values
    picture = Image.fromarray(values.astype(np.float32))
    return np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR))


def _side_by_side(image, saliency):
    small = scaled_to(image, min(_PANEL_TILE, max(image.shape[:2])))
    height, width = small.shape[:2]
    values = resized(saliency, (height, width))
    tiles = [
        small,
        as_rgb(grey(values)),
        overlay(small, values),
        _over_checkerboard(small, values),
    ]
    # A wide image's tiles go below one another.
    axis = 0 if width > 2 * height else 1
    shape = (_GAP, width, 3) if axis == 0 else (height, _GAP, 3)
    gap = np.full(shape, 255, np.uint8)
    parts = [part for tile in tiles for part in (gap, tile)][1:]
    return np.concatenate(parts, axis=axis)


def _over_checkerboard(image, alpha, side=8):
    y, x = np.indices(alpha.shape) // side
    board = np.where((y + x) % 2, 255, 204)[..., np.newaxis]
    alpha = alpha[..., np.newaxis]
    return np.uint8(np.round(alpha * image + (1 - alpha) * board))
