"""Mean intersection over union, over all pixels of a set (PASCAL VOC's measure)."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np

from picanet_tf.core.voc import CLASSES, IGNORE


class SegmentationScores(NamedTuple):
    """What a method reached on a set.

    Attributes:
        mean_iou: 0..1, over the classes that some pixel has or is taken for.
        pixel_accuracy: share of the pixels with a class that got their own, 0..1.
        iou: [classes], each class's; NaN where nothing has it or is taken for it.
        confusion: int64 [classes, classes], pixels by (true class, predicted class).
        images: how many.
    """

    mean_iou: float
    pixel_accuracy: float
    iou: np.ndarray
    confusion: np.ndarray
    images: int


class SegmentationMetrics:
    """Adds up one confusion matrix over all images, `keras.metrics.MeanIoU`'s.

    Example:
        >>> metrics = SegmentationMetrics()
        >>> metrics.update(predicted, truth)
        >>> metrics.result().mean_iou
        0.7012
    """

    def __init__(self, classes: int = CLASSES, ignore: int = IGNORE):
        # int64: VOC has 2.6e8 pixels, ten such sets would overflow the default.
        self._metric = keras.metrics.MeanIoU(
            classes, ignore_class=ignore, dtype="int64"
        )
        self._images = 0

    def update(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Adds an image, or a batch of one size.

        Args:
            predicted: integers, the class of each pixel.
            truth: integers of the same shape, `ignore` where a pixel has no class.

        Raises:
            ValueError: the shapes differ, or there is a class that is none.
        """
        predicted, truth = np.asarray(predicted), np.asarray(truth)
        if predicted.shape != truth.shape:
            raise ValueError(
                "Prediction and truth must have one shape. Received: "
                f"{predicted.shape} and {truth.shape}"
            )
        classes, ignore = self._metric.num_classes, self._metric.ignore_class
        # The metric would pass over such pixels in silence, and flatter the method.
        for name, values in ("predicted", predicted), ("truth", truth):
            wrong = (values >= classes) & ~((values == ignore) & (name == "truth"))
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
