"""Scores a method on a data set by a confusion matrix over all pixels.

Samples and class maps are passed as iterables; files are handled elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.voc import BACKGROUND, IGNORE, colours_of
from picanet_tf.evaluation.samples import Example, shrink_picture
from picanet_tf.segmentation.rendering import overlay


class Evaluation(NamedTuple):
    """The results of a method on a data set.

    Attributes:
        scores: `metrics.SegmentationScores` of the whole set.
        rows: (name, pixel accuracy) of each image; NaN if no pixel has a class.
        picked: the images requested by number.
    """

    scores: object
    rows: tuple[tuple[str, float], ...]
    picked: tuple[Example, ...]


def evaluate(predicted: Iterable[tuple], *, pick: Collection[int] = ()) -> Evaluation:
    """Scores class maps against the ground truth, at the size of the image.

    Args:
        predicted: (sample, class map uint8 [H, W]); the sample's `truth` is uint8
            [H, W], 255 for pixels without a class.
        pick: indices (from 0) of images to keep.

    Raises:
        PicanetError: if there are no images, or if a class map has the wrong size or
            invalid classes; the message names the image.
    """
    from picanet_tf.segmentation.metrics import SegmentationMetrics

    metrics, rows, picked = SegmentationMetrics(), [], []
    for number, (sample, classes) in enumerate(predicted):
        try:
            metrics.update(classes, sample.truth)
        except ValueError as error:
            raise PicanetError(f"{sample.name}: {error}") from error
        counts = sample.truth != IGNORE
        right = (classes == sample.truth)[counts]
        rows.append((sample.name, float(right.mean()) if right.size else np.nan))
        if number in pick:
            picked.append(_example(sample, classes))
    if not rows:
        raise PicanetError("There are no images to score")
    return Evaluation(metrics.result(), tuple(rows), tuple(picked))


def background(mask: np.ndarray) -> np.ndarray:
    """Returns the baseline that predicts background everywhere, uint8 [H, W]."""
    return np.full(mask.shape, BACKGROUND, np.uint8)


def _example(sample, classes: np.ndarray) -> Example:
    def shrink(picture):  # Colours are classes and must not be interpolated.
        return shrink_picture(picture, Image.Resampling.NEAREST)

    if sample.image is None:
        drawn = colours_of(classes)
    else:
        drawn = overlay(sample.image, classes)
    return Example(
        sample.name,
        None if sample.image is None else shrink(sample.image),
        shrink(colours_of(sample.truth)),
        shrink(drawn),
    )
