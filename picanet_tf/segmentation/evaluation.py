"""Scores a method on a data set: one confusion matrix over all of its pixels.

Knows no files: samples and class maps come in as iterables.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image

from picanet_tf.errors import PicanetError
from picanet_tf.segmentation.classes import BACKGROUND, IGNORE, colours_of
from picanet_tf.segmentation.rendering import overlay

PICTURE_SIDE = 320  # pictures are kept no larger than they are shown


class Example(NamedTuple):
    """One image to look at; uint8 [h, w, 3] each, `image` None without images."""

    name: str
    image: np.ndarray | None
    truth: np.ndarray
    prediction: np.ndarray


class Evaluation(NamedTuple):
    """What a method reached on a data set.

    Attributes:
        scores: `metrics.SegmentationScores` of the whole set.
        rows: (name, pixel accuracy) of each image, NaN where no pixel has a class.
        picked: the images asked for by number.
    """

    scores: object
    rows: tuple[tuple[str, float], ...]
    picked: tuple[Example, ...]


def evaluate(
    predicted: Iterable[tuple], *, pick: Collection[int] = (), **_
) -> Evaluation:
    """Scores class maps against the true ones, at the size of the image.

    Args:
        predicted: (sample, uint8 [H, W], the class of each pixel); a sample has a
            `name`, the true `mask` uint8 [H, W] with 255 where a pixel has no class,
            and an `image` uint8 [H, W, 3] or None.
        pick: numbers of images, from 0, to keep.
        **_: settings of other tasks' scores.

    Raises:
        PicanetError: there is no image; or one's map has another size or no classes,
            named.
    """
    from picanet_tf.segmentation.metrics import SegmentationMetrics

    metrics, rows, picked = SegmentationMetrics(), [], []
    for number, (sample, classes) in enumerate(predicted):
        try:
            metrics.update(classes, sample.mask)
        except ValueError as error:
            raise PicanetError(f"{sample.name}: {error}") from error
        counts = sample.mask != IGNORE
        right = (classes == sample.mask)[counts]
        rows.append((sample.name, float(right.mean()) if right.size else np.nan))
        if number in pick:
            picked.append(_example(sample, classes))
    if not rows:
        raise PicanetError("There is no image to score")
    return Evaluation(metrics.result(), tuple(rows), tuple(picked))


def background(mask: np.ndarray) -> np.ndarray:
    """The method that knows no image: background everywhere."""
    return np.full(mask.shape, BACKGROUND, np.uint8)


def _example(sample, classes: np.ndarray) -> Example:
    if sample.image is None:
        drawn = colours_of(classes)
    else:
        drawn = overlay(sample.image, classes)
    return Example(
        sample.name,
        None if sample.image is None else _reduced(sample.image),
        _reduced(colours_of(sample.mask)),
        _reduced(drawn),
    )


def _reduced(picture: np.ndarray) -> np.ndarray:
    image = Image.fromarray(picture)
    image.thumbnail((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.NEAREST)
    return np.array(image)
