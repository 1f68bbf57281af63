"""Validation during training, at the network's input size."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from picanet_tf.core.voc import OBJECT_CLASSES, colour_of
from picanet_tf.detection.metrics import DetectionMetrics
from picanet_tf.detection.postprocess import detections
from picanet_tf.detection.results import Detections
from picanet_tf.tasks.base import Validation

SHOWN_SCORE = 0.5  # minimum score of boxes to draw


class DetectionValidation(Validation):
    """Scores detections by mean AP.

    Boxes are matched in coordinates relative to the image, because IoU is invariant to
    resizing, even if it changes the aspect ratio.

    Args:
        image_size: side of the network's input, in pixels.

    Example:
        >>> validation = DetectionValidation(300)
        >>> validation.update(outputs, objects)
        >>> validation.result()
        {'mean_ap': 0.77, 'mean_ap_area': 0.79}
    """

    best = "mean_ap"
    without_object_rule = "detections in them are false"

    def __init__(self, image_size: int):
        self._image_size = image_size
        self._metrics = DetectionMetrics()

    def update(self, outputs: dict[str, np.ndarray], objects: np.ndarray) -> None:
        """Adds a batch of network outputs and objects, float [N, M, 6]."""
        for found, true in zip(
            found_boxes(outputs, self._image_size), objects, strict=True
        ):
            # Keyed by its index, as batches have no keys.
            self._metrics.update(
                str(self.images),
                found,
                true[:, :4] * self._image_size,
                true[:, 4].round().astype(np.int64),
                true[:, 5] > 0,
            )
            self.count([(true[:, 4] > 0).any()])

    def result(self) -> dict[str, float]:
        """Returns the scores, which are NaN if no object counts."""
        scores = self._metrics.result()
        return {"mean_ap": scores.mean_ap, "mean_ap_area": scores.mean_ap_area}


def found_boxes(outputs: dict[str, np.ndarray], image_size: int) -> list[Detections]:
    """Returns the detections of each image of a batch, in pixels of the input."""
    found = detections(outputs["locations"], outputs["scores"], image_size)
    found = {name: value.numpy() for name, value in found.items()}
    return [
        Detections(boxes[:n] * image_size, scores[:n], classes[:n])
        for boxes, scores, classes, n in zip(
            found["boxes"],
            found["scores"],
            found["classes"],
            found["count"],
            strict=True,
        )
    ]


def panel(
    image: np.ndarray, objects: np.ndarray, outputs: dict[str, np.ndarray]
) -> np.ndarray:
    """Draws image, objects and detections side by side.

    Args:
        image: float [S, S, 3], RGB 0..255.
        objects: float [M, 6].
        outputs: outputs for the image, without the batch axis.

    Returns:
        uint8 [S, 3 S, 3].
    """
    size = image.shape[0]
    batch = {name: value[np.newaxis] for name, value in outputs.items()}
    (found,) = found_boxes(batch, size)
    sure = found.scores >= SHOWN_SCORE
    real = objects[:, 4] > 0
    tiles = [
        image.clip(0, 255).astype(np.uint8),
        _draw_boxes(image, objects[real, :4] * size, objects[real, 4]),
        _draw_boxes(image, found.boxes[sure], found.classes[sure]),
    ]
    return np.concatenate(tiles, axis=1)


def _draw_boxes(image, boxes, labels) -> np.ndarray:
    picture = Image.fromarray(image.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for (top, left, bottom, right), label in zip(boxes, labels, strict=True):
        label = int(label)
        draw.rectangle([left, top, right, bottom], outline=colour_of(label), width=2)
        draw.text((left + 3, top + 2), OBJECT_CLASSES[label - 1], colour_of(label))
    return np.asarray(picture)
