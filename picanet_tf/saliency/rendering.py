"""Renders saliency maps in the formats of `picanet predict --format`.

Does not import TensorFlow.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from picanet_tf.core.images import over_white
from picanet_tf.drawing.backgrounds import lay_over
from picanet_tf.drawing.cutouts import (
    DEFAULT_CUTOUT,
    CutoutOptions,
    adjust_map,
    cut_out,
)
from picanet_tf.drawing.maps import as_rgb, binary, grey, overlay, resize_map, scale_to

FORMATS = ("map", "mask", "cutout", "overlay", "panel")

_PANEL_TILE = 1024  # maximum length of the longer side of a panel's tile, in pixels
_GAP = 4


def render(
    form: str,
    image: np.ndarray,
    saliency: np.ndarray,
    threshold: float = 0.5,
    cutout: CutoutOptions = DEFAULT_CUTOUT,
) -> np.ndarray:
    """Draws a saliency map in one of `FORMATS`.

    Args:
        form: `"map"`: greyscale map; `"mask"`: 255 where the map reaches `threshold`,
            else 0; `"cutout"`: the object with an alpha channel, see `cut_out`;
            `"overlay"`: a heat map blended over the image; `"panel"`: image, map,
            overlay and cut-out side by side, with tiles of at most 1024 pixels a side.
        image: uint8 [H, W, 3] or [H, W, 4].
        saliency: float [H, W] in [0, 1].
        threshold: threshold of `"mask"`.
        cutout: options of the cut-out; `edges`, `largest_only` and `invert` also apply
            to the other formats.

    Returns:
        uint8 [H, W] for a map or mask; [h, w, 4] or, with an opaque background,
        [h, w, 3] for a cut-out; [H, W, 3] for an overlay; a panel is [h, w, 3].
    """
    if form not in FORMATS:
        raise ValueError(f"`form` must be one of {FORMATS}. Received: form={form!r}")
    if form == "cutout":
        return cut_out(image, saliency, cutout)
    if form == "panel":
        return _side_by_side(image, saliency, cutout)
    saliency = adjust_map(image, saliency, cutout)
    if form == "map":
        return grey(saliency)
    if form == "mask":
        return binary(saliency, threshold)
    return overlay(over_white(image), saliency)


def _side_by_side(image, saliency, options):
    small = scale_to(image, min(_PANEL_TILE, max(image.shape[:2])))
    values = resize_map(saliency, small.shape[:2])
    # Uncropped, so that the tiles fit.
    cut = cut_out(small, values, dataclasses.replace(options, crop=False))
    photo, values = over_white(small), adjust_map(small, values, options)
    height, width = values.shape
    tiles = [
        photo,
        as_rgb(grey(values)),
        overlay(photo, values),
        _over_checkerboard(cut),
    ]
    # Tiles of wide images are stacked vertically.
    axis = 0 if width > 2 * height else 1
    shape = (_GAP, width, 3) if axis == 0 else (height, _GAP, 3)
    gap = np.full(shape, 255, np.uint8)
    parts = [part for tile in tiles for part in (gap, tile)][1:]
    return np.concatenate(parts, axis=axis)


def _over_checkerboard(cut, side=8):
    if cut.shape[2] == 3:
        return cut
    y, x = np.indices(cut.shape[:2]) // side
    board = as_rgb(np.where((y + x) % 2, np.uint8(255), np.uint8(204)))
    return lay_over(cut[..., :3], cut[..., 3] / 255, board)
