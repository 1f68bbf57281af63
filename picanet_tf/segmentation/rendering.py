"""Renders class maps for `predict.py --format`. Does not import TensorFlow."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from picanet_tf.core.voc import VOC_CLASSES, colours_of, palette

FORMATS = ("map", "overlay", "panel")
_OPACITY = 0.6


def render(form: str, image: np.ndarray, classes: np.ndarray) -> Image.Image:
    """Draws a class map in one of `FORMATS`.

    Args:
        form: `"map"`: a palette image with the classes as values and VOC's colours;
            `"overlay"`: the colours over the image with a legend and a transparent
            background; `"panel"`: image, colours and overlay side by side.
        image: uint8 [H, W, 3].
        classes: uint8 [H, W].

    Returns:
        An image of the same size in mode P or RGB, or a panel.
    """
    if form == "map":
        # From bytes, because `fromarray` cannot create an image in mode P.
        picture = Image.frombytes("P", classes.shape[::-1], classes.tobytes())
        picture.putpalette(palette().ravel().tolist())
        return picture
    if form == "overlay":
        return Image.fromarray(overlay(image, classes))
    if form == "panel":
        tiles = [image, colours_of(classes), overlay(image, classes)]
        return Image.fromarray(np.concatenate(tiles, axis=1))
    raise ValueError(f"`form` must be one of {FORMATS}. Received: form={form!r}")


def overlay(image: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Draws the classes' colours over the image, with a legend: uint8 [H, W, 3].

    The legend in the top left corner lists as many classes as fit, by descending area.
    """
    painted = (classes > 0)[..., np.newaxis]
    mixed = (1 - _OPACITY) * image + _OPACITY * colours_of(classes)
    drawing = Image.fromarray(np.where(painted, np.uint8(np.round(mixed)), image))
    counts = np.bincount(classes.ravel(), minlength=256)[: len(VOC_CLASSES)]
    found = [k for k in np.argsort(-counts, kind="stable") if k and counts[k]]
    _draw_legend(drawing, found)
    return np.asarray(drawing)


def _draw_legend(drawing: Image.Image, classes: list[int]) -> None:
    size = max(10, min(drawing.size) // 24)
    line, margin = round(1.4 * size), round(0.4 * size)
    room = (drawing.height - 2 * margin) // line
    classes = classes[: max(0, room)]
    if not classes:
        return
    draw = ImageDraw.Draw(drawing)
    texts = [VOC_CLASSES[k] for k in classes]
    width = max(draw.textlength(text, font_size=size) for text in texts)
    box = (0, 0, 3 * margin + size + width, 2 * margin + line * len(classes))
    draw.rectangle(box, fill="white")
    for number, (k, text) in enumerate(zip(classes, texts, strict=True)):
        top = margin + number * line
        colour = tuple(int(value) for value in palette()[k])
        draw.rectangle((margin, top, margin + size, top + size), fill=colour)
        draw.text((2 * margin + size, top), text, fill="black", font_size=size)
