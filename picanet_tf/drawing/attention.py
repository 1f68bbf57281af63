"""Draws attention maps and feature maps as in Figures 4 and 5 of the paper.

Does not import TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from picanet_tf.drawing.maps import as_rgb, grey, heat, overlay, resize_map, scale_to
from picanet_tf.drawing.panels import Row, save_panel
from picanet_tf.drawing.pixels import Pixel

_TILE = 448  # longer side of a panel's images, in pixels
_RED = (255, 0, 0)


class Context(NamedTuple):
    """The attention of one pixel in one attentive module.

    Attributes:
        weights: float [K, K], the attention to each position; for GAP and LAP the sum
            is 1, for AC they are gates in 0..1.
        rows, columns: [K], the positions on the module's map; those of a local window
            can be outside the map.
        cell: (row, column) of the query pixel on the map.
        size: (height, width) of the map.
        step: distance of neighbouring positions.
        kind: kind of the module, "GAP", "LAP" or "AC".
    """

    weights: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    cell: tuple[int, int]
    size: tuple[int, int]
    step: int
    kind: str

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) of the context region, relative to the image.

        A global context covers the whole image; a local one is clipped to it.
        """
        if self.kind == "GAP":
            return 0.0, 0.0, 1.0, 1.0
        height, width = self.size
        return (
            max(int(self.columns[0]), 0) / width,
            max(int(self.rows[0]), 0) / height,
            min(int(self.columns[-1]) + 1, width) / width,
            min(int(self.rows[-1]) + 1, height) / height,
        )


def spread(context: Context, size: tuple[int, int]) -> np.ndarray:
    """Interpolates the attention of a context over the image.

    Args:
        context: the context of a pixel, from `context_of`.
        size: (height, width) of the result.

    Returns:
        float [height, width], bilinear between positions, constant beyond the outer
        ones, and NaN outside the context region.
    """
    height, width = size
    y = (np.arange(height) + 0.5) / height
    x = (np.arange(width) + 0.5) / width
    along_y = _interpolation(y * context.size[0] - 0.5, context.rows)
    along_x = _interpolation(x * context.size[1] - 0.5, context.columns)
    drawn = along_y @ context.weights @ along_x.T
    left, top, right, bottom = context.box
    outside = ((y < top) | (y > bottom))[:, None] | ((x < left) | (x > right))[None]
    return np.where(outside, np.nan, drawn)


def _interpolation(points: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Returns the weights [P, K] of K positions at P points."""
    identity = np.eye(len(positions))
    return np.stack([np.interp(points, positions, row) for row in identity], axis=1)


def attention_rows(
    image: np.ndarray, maps, pixels: Mapping[str, Pixel]
) -> tuple[list[str], list[Row]]:
    """Draws the attention of each module for each query pixel (Figure 5).

    Each map is min-max normalized; its range is printed below it.

    Args:
        image: uint8 [H, W, 3], the frame that the maps cover.
        maps: its `inference.attention.AttentionMaps`.
        pixels: {label: pixel of the image}.

    Returns:
        Column titles and rows for `save_panel`.

    Raises:
        PicanetError: if a pixel is outside the image.
    """
    small = _fit_tile(image)
    rows = []
    for label, pixel in pixels.items():
        pictures = [
            _add_caption(mark_pixel(picture, image.shape, pixel), "")
            for picture in (small, as_rgb(_fit_tile(grey(maps.foreground))))
        ]
        for key in maps.attention:
            context = maps.context(key, pixel)
            tile = overlay(small, _normalize(spread(context, small.shape[:2])))
            tile = mark_pixel(tile, image.shape, pixel, context)
            pictures.append(_add_caption(tile, _range_of(context)))
        rows.append(Row(f"{label}\n{pixel.x},{pixel.y}", pictures))
    points = [maps.points[key] for key in maps.attention]
    titles = [f"{point.label}  {point.kind}" for point in points]
    return ["image", maps.foreground_title, *titles], rows


def feature_rows(image: np.ndarray, maps) -> tuple[list[str], list[Row]]:
    """Draws the input and output features of each context module (Figure 4).

    Each map is min-max normalized.

    Args:
        image: uint8 [H, W, 3], the frame that the maps cover.
        maps: its `inference.attention.AttentionMaps`.

    Returns:
        Column titles and rows for `save_panel`.
    """
    small = _fit_tile(image)
    rows = []
    for number, (label, first) in enumerate(
        [("into it: F", small), ("out of it: F att", _fit_tile(grey(maps.foreground)))]
    ):
        drawn = [
            heat(_normalize(resize_map(pair[number], small.shape[:2])), "viridis")
            for pair in maps.features.values()
        ]
        rows.append(Row(label, [first, *drawn]))
    labels = (maps.points[key].label for key in maps.features)
    return [f"image, {maps.foreground_title}", *labels], rows


def save_attention(
    path: Path,
    image: np.ndarray,
    maps,
    pixels: Mapping[str, Pixel] | None = None,
    title: str = "",
) -> None:
    """Writes a panel of `attention_rows`, by default for the maps' query pixels."""
    columns, rows = attention_rows(image, maps, pixels or maps.query_pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_panel(path, columns, rows, title)


def save_features(path: Path, image: np.ndarray, maps, title: str = "") -> None:
    """Writes a panel of `feature_rows`."""
    columns, rows = feature_rows(image, maps)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_panel(path, columns, rows, title)


def mark_pixel(
    picture: np.ndarray,
    shape: Sequence[int],
    pixel: Pixel,
    context: Context | None = None,
    radius: int = 6,
) -> np.ndarray:
    """Marks a pixel with a white dot and its context region with a red rectangle.

    Args:
        picture: uint8 [h, w, 3], the image at any scale.
        shape: (height, width, ...) of the original image.
        pixel: pixel of the original image.
        context: the pixel's context; None draws no rectangle.
        radius: radius of the dot, in pixels of `picture`.

    Returns:
        uint8 [h, w, 3].
    """
    height, width = picture.shape[:2]
    drawing = Image.fromarray(picture)
    draw = ImageDraw.Draw(drawing)
    if context is not None:
        left, top, right, bottom = context.box
        box = (left * width, top * height, right * width - 1, bottom * height - 1)
        x0, y0, x1, y1 = map(round, box)
        draw.rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=_RED, width=3)
    x = (pixel.x + 0.5) * width / shape[1]
    y = (pixel.y + 0.5) * height / shape[0]
    box = (x - radius, y - radius, x + radius, y + radius)
    draw.ellipse(box, fill="white", outline="black", width=max(1, radius // 3))
    return np.asarray(drawing)


def _fit_tile(image: np.ndarray) -> np.ndarray:
    """Scales a uint8 image to the size of a tile."""
    return scale_to(image, _TILE)


def _normalize(values: np.ndarray) -> np.ndarray:
    """Min-max normalizes to 0..1; constant values become 0. NaN is kept."""
    if np.isnan(values).all():  # The region is smaller than a pixel.
        return values
    low, high = np.nanmin(values), np.nanmax(values)
    return (values - low) / (high - low) if high > low else values * 0.0


def _range_of(context: Context) -> str:
    low, high = context.weights.min(), context.weights.max()
    if context.kind == "AC":
        return f"gates {low:.2f} to {high:.2f}"
    uniform = context.weights.size
    return f"{low * uniform:.2f} to {high * uniform:.2f} of uniform"


def _add_caption(picture, text: str, size: int = 26):
    height, width = picture.shape[:2]
    drawing = Image.new("RGB", (width, height + size + 14), "white")
    drawing.paste(Image.fromarray(picture))
    draw = ImageDraw.Draw(drawing)
    draw.text((width / 2, height + 4), text, fill="black", font_size=size, anchor="ma")
    return np.asarray(drawing)
