"""Mean intersection over union over all pixels of a data set, as in PASCAL VOC."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np

from picanet_tf.core.voc import CLASSES, IGNORE


class SegmentationScores(NamedTuple):
    """Scores of a set of images.

    Attributes:
        mean_iou: 0..1, over the classes that occur in the ground truth or predictions.
        pixel_accuracy: 0..1, over the pixels that have a class.
        iou: [classes], per class; NaN if the class occurs in neither.
        confusion: int64 [classes, classes], pixels by (true class, predicted class).
        images: number of images.
    """

    mean_iou: float
    pixel_accuracy: float
    iou: np.ndarray
    confusion: np.ndarray
    images: int


class SegmentationMetrics:
    """Accumulates a confusion matrix over all images with `keras.metrics.MeanIoU`.

    Example:
        >>> metrics = SegmentationMetrics()
        >>> metrics.update(predicted, truth)
        >>> metrics.result().mean_iou
        0.7012
    """

    def __init__(self, classes: int = CLASSES, ignore: int = IGNORE):
        # int64: VOC has 2.6e8 pixels, and ten times that would overflow the default.
        self._metric = keras.metrics.MeanIoU(
            classes, ignore_class=ignore, dtype="int64"
        )
        self._images = 0

    def update(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Adds an image or batch.

        Args:
            predicted: integers, the class of each pixel.
            truth: integers of the same shape, `ignore` for pixels without a class.

        Raises:
            ValueError: if the shapes differ or a class is invalid.
        """
        predicted, truth = np.asarray(predicted), np.asarray(truth)
        if predicted.shape != truth.shape:
            raise ValueError(
                "Prediction and truth must have equal shapes. Received: "
                f"{predicted.shape} and {truth.shape}"
            )
        classes, ignore = self._metric.num_classes, self._metric.ignore_class
        # The metric would silently ignore such pixels and overrate the method.
        for name, values in ("predicted", predicted), ("truth", truth):
            wrong = (values < 0) | (values >= classes)
            wrong &= ~((values == ignore) & (name == "truth"))
            if wrong.any():
                raise ValueError(
                    f"`{name}` has the class {values[wrong][0]}; classes are "
                    f"0..{classes - 1}"
                )
        self._metric.update_state(truth.astype("int64"), predicted.astype("int64"))
        self._images += 1 if truth.ndim == 2 else len(truth)

    def result(self) -> SegmentationScores:
        confusion = np.asarray(self._metric.total_cm, np.int64)
        right = np.diag(confusion)
        union = confusion.sum(0) + confusion.sum(1) - right
        with np.errstate(invalid="ignore"):
            iou = right / np.where(union, union, np.nan)
        pixels = confusion.sum()
        return SegmentationScores(
            float(self._metric.result()),
            float(right.sum() / pixels) if pixels else float("nan"),
            iou,
            confusion,
            self._images,
        )
