"""Data structures for samples with ground truth, data sets and methods.

Does not open files or import TensorFlow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from PIL import Image

# Maximum side of an example's images, in pixels, at which figures show them.
PICTURE_SIDE = 320


class Sample(NamedTuple):
    """One image of a data set.

    Attributes:
        name: unique name in the data set.
        truth: ground truth: a mask `(height, width)` uint8 0..255 or bool, a class map
            `(height, width)` uint8, or `detection.evaluation.Truth`.
        image: `(height, width, 3)` uint8, or None if only stored predictions are
            scored.
    """

    name: str
    truth: object
    image: np.ndarray | None = None


# A sample and its prediction.
Predicted = tuple[Sample, object]


class Example(NamedTuple):
    """An example for figures; all images have at most `PICTURE_SIDE` pixels per side.

    Attributes:
        name: name of the sample.
        image: uint8 [h, w, 3], or None.
        truth, prediction: uint8 [h, w] or [h, w, 3].
        score: score of this image, or None.
    """

    name: str
    image: np.ndarray | None
    truth: np.ndarray
    prediction: np.ndarray
    score: float | None = None


class DataSet(NamedTuple):
    """A data set with ground truth.

    Attributes:
        name: name as in papers, such as "ECSSD".
        count: number of images.
        keys: function that returns the names of the samples without decoding them.
        samples: function that reads the samples in order; starts over at each call.
        facts: metadata for the report, such as the path.
        file_suffix: suffix of its mask files' names, before the extension, which the
            names of the samples lack.
    """

    name: str
    count: int
    keys: Callable[[], Iterable[str]]
    samples: Callable[[], Iterable[Sample]]
    facts: Mapping
    file_suffix: str = ""


class Method(NamedTuple):
    """A method to score, such as a network or stored predictions.

    Attributes:
        name: unique name of the method.
        predict: function from a data set to samples with predictions.
        facts: metadata for the report, such as the run directory.
        variant: row in the paper's table. For saliency methods without one, the name is
            looked up in Table 2.
        check: raises `PicanetError` if the method does not support a data set; called
            before any scoring.
    """

    name: str
    predict: Callable[[DataSet], Iterable[Predicted]]
    facts: Mapping
    variant: str | None = None
    check: Callable[[DataSet], object] = lambda data: None


def predict_samples(
    predict_arrays: Callable[[Iterable[np.ndarray]], Iterable],
    samples: Iterable[Sample],
) -> Iterator[Predicted]:
    """Yields samples with their predictions.

    Args:
        predict_arrays: function from images to predictions in the same order.
        samples: samples with images.
    """
    waiting: deque[Sample] = deque()

    def images():
        for sample in samples:
            waiting.append(sample)
            yield sample.image

    for prediction in predict_arrays(images()):
        yield waiting.popleft(), prediction


def shrink_picture(
    picture: np.ndarray, resampling: Image.Resampling = Image.Resampling.BICUBIC
) -> np.ndarray:
    """Shrinks a uint8 image to at most `PICTURE_SIDE` pixels per side."""
    image = Image.fromarray(picture)
    image.thumbnail((PICTURE_SIDE, PICTURE_SIDE), resampling)
    return np.array(image)
