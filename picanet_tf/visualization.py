"""Pictures for people: labelled panels of images, maps and attention."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from picanet_tf.core.files import replacing
from picanet_tf.pixels import Pixel, cell_of
from picanet_tf.reporting import in_utf8
from picanet_tf.saliency.rendering import (
    as_rgb,
    grey,
    heat,
    overlay,
    resized,
    scaled_to,
)
from picanet_tf.seams import AttachPoint

if TYPE_CHECKING:
    from picanet_tf.inference import Look
    from picanet_tf.saliency.attention import Context


class Row(NamedTuple):
    """One row of a panel: a label and its pictures.

    Attributes:
        label: written to the left.
        pictures: uint8 [H, W, 3], uint8 [H, W] or float [H, W] in 0..1, in the order of
            the panel's columns; None leaves a gap.
    """

    label: str
    pictures: Sequence[np.ndarray | None]


def save_panel(
    path: Path, columns: Sequence[str], rows: Sequence[Row], title=""
) -> None:
    """Writes rows of pictures under column titles to a PNG.

    Args:
        path: where to; replaced in one step.
        columns: titles, one for each picture of a row.
        rows: from top to bottom.
        title: above everything.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(2.6 * len(columns), 2.1 * len(rows) + 0.6), layout="constrained"
    )
    FigureCanvasAgg(figure)
    # Names of files are no mathematics, whatever dollars are in them.
    plain = {"parse_math": False}
    if title:
        figure.suptitle(in_utf8(title), fontsize=11, **plain)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for line, row in zip(axes, rows, strict=True):
        for axis, picture in zip(line, row.pictures, strict=True):
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_frame_on(False)
            if picture is not None:
                limit = 255 if picture.dtype == np.uint8 else 1
                axis.imshow(picture, cmap="gray", vmin=0, vmax=limit)
        line[0].set_ylabel(in_utf8(row.label), fontsize=9, **plain)
    for axis, name in zip(axes[0], columns, strict=True):
        axis.set_title(in_utf8(name), fontsize=10, **plain)
    with replacing(Path(path)) as temporary, warnings.catch_warnings():
        # A name in letters that the font lacks shows boxes in their place.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(temporary, dpi=110)


_TILE = 448  # the longer side of what panels show, in pixels
_RED = (255, 0, 0)


def attention_rows(
    image: np.ndarray,
    saliency: np.ndarray,
    attention: Mapping[int, np.ndarray],
    kinds: Mapping[int, str],
    pixels: Mapping[str, Pixel],
    points: Mapping[int, AttachPoint] | None = None,
    map_title: str = "saliency",
) -> tuple[list[str], list[Row]]:
    """Figure 5 of the paper: from each pixel, what each attentive module looks at.

    Each map is stretched over its own range, which is written below it.

    Args:
        image: uint8 [H, W, 3].
        saliency: float [H, W] in [0, 1].
        attention: {decoding stage: float [h, w, K*K]}.
        kinds: {decoding stage: "GAP", "LAP" or "AC"}.
        pixels: {label: pixel of the image}.
        points: {decoding stage: where it is}; by default the saliency network's.
        map_title: what `saliency` is called.

    Returns:
        Column titles and rows for `save_panel`.

    Raises:
        PicanetError: a pixel outside the image.
    """
    # Not above: it imports TensorFlow, which other panels do without.
    from picanet_tf.saliency.attention import context_of, spread

    points = points or {i: AttachPoint(i, f"D{i}", kind) for i, kind in kinds.items()}
    small = _shown(image)
    rows = []
    for label, pixel in pixels.items():
        pictures = [
            _captioned(marked(picture, image.shape, pixel), "")
            for picture in (small, as_rgb(_shown(grey(saliency))))
        ]
        for stage, kind in kinds.items():
            weights = attention[stage]
            cell = cell_of(pixel, image.shape[:2], weights.shape[:2])
            context = context_of(weights, kind, cell, points[stage].dilation_rate)
            tile = overlay(small, _stretched(spread(context, small.shape[:2])))
            tile = marked(tile, image.shape, pixel, context)
            pictures.append(_captioned(tile, _range_of(context, kind)))
        rows.append(Row(f"{label}\n{pixel.x},{pixel.y}", pictures))
    titles = [f"{points[i].label}  {kind}" for i, kind in kinds.items()]
    return ["image", map_title, *titles], rows


def save_attention(
    path: Path,
    image: np.ndarray,
    look: Look,
    kinds: Mapping[int, str],
    pixels: Mapping[str, Pixel] | None = None,
    title: str = "",
) -> None:
    """Writes `attention_rows` of an image, by default from the look's own pixels."""
    pixels = pixels or look.pixels
    columns, rows = attention_rows(
        image, look.saliency, look.attention, kinds, pixels, look.points, look.title
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    save_panel(path, columns, rows, title)


def save_features(path: Path, image: np.ndarray, look: Look, title: str = "") -> None:
    """Writes `feature_rows` of an image."""
    columns, rows = feature_rows(image, look.saliency, look.features)
    if look.points:
        labels = (look.points[i].label for i in look.features)
        columns = [f"image, {look.title}", *labels]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_panel(path, columns, rows, title)


def feature_rows(
    image: np.ndarray,
    saliency: np.ndarray,
    features: Mapping[int, tuple[np.ndarray, np.ndarray]],
) -> tuple[list[str], list[Row]]:
    """Figure 4 of the paper: what goes into each context module, and what comes out.

    Args:
        image: uint8 [H, W, 3].
        saliency: float [H, W] in [0, 1].
        features: {decoding stage: (F_i, F_att)}, float [h, w], of any range; each is
            stretched over its own.

    Returns:
        Column titles and rows for `save_panel`.
    """
    small = _shown(image)
    rows = []
    for number, (label, first) in enumerate(
        [("into it: F", small), ("out of it: F att", _shown(grey(saliency)))]
    ):
        maps = [
            heat(_stretched(resized(pair[number], small.shape[:2])), "viridis")
            for pair in features.values()
        ]
        rows.append(Row(label, [first, *maps]))
    return ["image, saliency", *(f"D{stage}" for stage in features)], rows


def _shown(image: np.ndarray) -> np.ndarray:
    """A uint8 image of which the longer side is a tile's."""
    return scaled_to(image, _TILE)


def _stretched(values: np.ndarray) -> np.ndarray:
    """Over 0..1; one value alone becomes 0. NaN stays."""
    if np.isnan(values).all():  # A region narrower than the picture's pixels.
        return values
    low, high = np.nanmin(values), np.nanmax(values)
    return (values - low) / (high - low) if high > low else values * 0.0


def marked(
    picture: np.ndarray,
    shape: Sequence[int],
    pixel: Pixel,
    context: Context | None = None,
    radius: int = 6,
) -> np.ndarray:
    """A picture with the pixel as a white dot, its context region in a red rectangle.

    Args:
        picture: uint8 [h, w, 3], the image at any scale.
        shape: (height, width, ...) of the image itself.
        pixel: of the image.
        context: what the pixel looks at; None draws no rectangle.
        radius: of the dot, in the picture's pixels.

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


def _range_of(context: Context, kind: str) -> str:
    low, high = context.weights.min(), context.weights.max()
    if kind == "AC":
        return f"gates {low:.2f} to {high:.2f}"
    uniform = context.weights.size
    return f"{low * uniform:.2f} to {high * uniform:.2f} of uniform"


def _captioned(picture, text: str, size: int = 26):
    height, width = picture.shape[:2]
    drawing = Image.new("RGB", (width, height + size + 14), "white")
    drawing.paste(Image.fromarray(picture))
    draw = ImageDraw.Draw(drawing)
    draw.text((width / 2, height + 4), text, fill="black", font_size=size, anchor="ma")
    return np.asarray(drawing)
