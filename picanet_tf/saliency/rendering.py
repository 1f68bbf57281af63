"""A saliency map as a picture: what `picanet predict --format` offers.

Imports no TensorFlow.
"""

from __future__ import annotations

import numpy as np

from picanet_tf.drawing.maps import as_rgb, binary, grey, overlay, resized, scaled_to

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
        return binary(saliency, threshold)
    if form == "cutout":
        return np.dstack([image, grey(saliency)])
    if form == "overlay":
        return overlay(image, saliency)
    if form == "panel":
        return _side_by_side(image, saliency)
    raise ValueError(f"`form` must be one of {FORMATS}. Received: form={form!r}")


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
