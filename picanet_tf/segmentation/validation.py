"""Validation during training, at the network's input size."""

from __future__ import annotations

import math

import numpy as np

from picanet_tf.core.voc import IGNORE, colours_of
from picanet_tf.segmentation.metrics import SegmentationMetrics
from picanet_tf.segmentation.prediction import classes_of, logits, upsample
from picanet_tf.tasks.base import Validation


class SegmentationValidation(Validation):
    """Scores class maps by mean IoU and pixel accuracy.

    Example:
        >>> validation = SegmentationValidation()
        >>> validation.update(outputs, classes)
        >>> validation.result()
        {'mean_iou': 0.61, 'pixel_accuracy': 0.9}
    """

    best = "mean_iou"

    def __init__(self):
        self._metrics = SegmentationMetrics()

    def update(self, outputs: dict[str, np.ndarray], classes: np.ndarray) -> None:
        """Adds a batch of network outputs and integer classes [N, S, S, 1]."""
        self._metrics.update(
            _predict_classes(outputs, classes.shape[1]), classes[..., 0]
        )
        objects = (classes > 0) & (classes != IGNORE)
        self.count(objects.any(axis=(1, 2, 3)))

    def result(self) -> dict[str, float]:
        """Returns the scores, which are NaN if no pixel has a class."""
        scores = self._metrics.result()
        return {
            "mean_iou": scores.mean_iou if scores.confusion.any() else math.nan,
            "pixel_accuracy": scores.pixel_accuracy,
        }


def panel(
    image: np.ndarray, classes: np.ndarray, outputs: dict[str, np.ndarray]
) -> np.ndarray:
    """Draws image, class map and prediction side by side.

    Args:
        image: float [S, S, 3], RGB 0..255.
        classes: integer [S, S, 1].
        outputs: outputs for the image, without the batch axis.

    Returns:
        uint8 [S, 3 S, 3].
    """
    batch = {name: value[np.newaxis] for name, value in outputs.items()}
    predicted = _predict_classes(batch, image.shape[0])[0]
    tiles = [image, colours_of(classes[..., 0]), colours_of(predicted)]
    return np.concatenate(tiles, axis=1).clip(0, 255).astype(np.uint8)


def _predict_classes(outputs: dict[str, np.ndarray], side: int) -> np.ndarray:
    return classes_of(upsample(logits(outputs), side)).numpy()
