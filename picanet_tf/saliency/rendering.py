"""Renders saliency maps in the formats of `picanet predict --format`.

Does not import TensorFlow.
"""

from __future__ import annotations

import numpy as np

from picanet_tf.drawing.maps import as_rgb, binary, grey, overlay, resize_map, scale_to

FORMATS = ("map", "mask", "cutout", "overlay", "panel")

_PANEL_TILE = 1024  # maximum length of the longer side of a panel's tile, in pixels
_GAP = 4


def render(
    form: str, image: np.ndarray, saliency: np.ndarray, threshold: float = 0.5
) -> np.ndarray:
    """Draws a saliency map in one of `FORMATS`.

    Args:
        form: `"map"`: greyscale map; `"mask"`: 255 where the map reaches `threshold`,
            else 0; `"cutout"`: the image with the map as its alpha channel;
            `"overlay"`: a heat map blended over the image; `"panel"`: image, map,
            overlay and cut-out side by side, with tiles of at most 1024 pixels a side.
        image: uint8 [H, W, 3].
        saliency: float [H, W] in [0, 1].
        threshold: threshold of `"mask"`.

    Returns:
        uint8 [H, W] for a map or mask, [H, W, 4] for a cut-out, [H, W, 3] for an
        overlay; a panel is [h, w, 3].
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
    small = scale_to(image, min(_PANEL_TILE, max(image.shape[:2])))
    height, width = small.shape[:2]
    values = resize_map(saliency, (height, width))
    tiles = [
        small,
        as_rgb(grey(values)),
        overlay(small, values),
        _over_checkerboard(small, values),
    ]
    # Tiles of wide images are stacked vertically.
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
