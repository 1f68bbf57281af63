"""Draws detections, and writes them in the formats of COCO and VOC.

Does not import TensorFlow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from picanet_tf.core.voc import VOC_CLASSES, colour_of
from picanet_tf.detection.results import VOC_PREFIX, Detections, to_coco, to_voc

FORMATS = ("boxes",)
COLLECTED_FORMATS = ("json", "voc")  # one file for all images


def render(
    form: str, image: np.ndarray, found: Detections, threshold: float
) -> Image.Image:
    """Draws the boxes over the image.

    Raises:
        ValueError: if the format is not an image format.
    """
    if form != "boxes":
        raise ValueError(f"`form` must be 'boxes'. Received: form={form!r}")
    return Image.fromarray(draw(image, found, threshold))


def draw(image: np.ndarray, found: Detections, threshold: float) -> np.ndarray:
    """Draws boxes above a score threshold over the image, the highest score on top.

    Args:
        image: uint8 [H, W, 3].
        found: detections in pixels of the image.
        threshold: minimum score, 0..1.

    Returns:
        uint8 [H, W, 3]: boxes in VOC's colours, labelled with class and score.
    """
    picture = Image.fromarray(image)
    canvas = ImageDraw.Draw(picture)
    line = max(2, max(picture.size) // 200)
    size = max(10, min(picture.size) // 25)
    shown = found.above(threshold)
    for number in reversed(range(len(shown))):
        top, left, bottom, right = (round(float(v)) for v in shown.boxes[number])
        label = int(shown.classes[number])
        colour = colour_of(label)
        box = (left, top, max(left, right - 1), max(top, bottom - 1))
        canvas.rectangle(box, outline=colour, width=line)
        text = f"{VOC_CLASSES[label]} {shown.scores[number]:.2f}"
        width = canvas.textlength(text, font_size=size)
        # Above the box, or inside if there is no room.
        y = top - size - 4 if top >= size + 4 else top
        x = max(0, min(left, picture.width - width - 4))
        canvas.rectangle((x, y, x + width + 4, y + size + 4), fill=colour)
        ink = "black" if np.dot(colour, (0.299, 0.587, 0.114)) > 110 else "white"
        canvas.text((x + 2, y + 1), text, fill=ink, font_size=size)
    return np.asarray(picture)


def collect(form: str, found: Mapping[str, Detections]) -> dict[str, str]:
    """Formats the detections of all images as {file name: text}.

    Args:
        form: `"json"`, COCO's results format, or `"voc"`, a text file per class for
            VOC's devkit.
        found: {image: its detections}.
    """
    if form == "json":
        return {"detections.json": json.dumps(to_coco(found), indent=1) + "\n"}
    if form == "voc":
        texts = to_voc(found).items()
        return {f"{VOC_PREFIX}{name}.txt": text for name, text in texts}
    raise ValueError(
        f"`form` must be one of {COLLECTED_FORMATS}. Received: form={form!r}"
    )
