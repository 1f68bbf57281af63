"""What is scored: samples with their ground truth, and methods that predict it.

Opens no file. Imports no TensorFlow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from PIL import Image

# Pictures are kept no larger than they are shown.
PICTURE_SIDE = 320


class Sample(NamedTuple):
    """One image of a data set.

    Attributes:
        name: unique in its data set.
        truth: what the task is scored against: a mask `(height, width)` uint8 0..255 or
            bool, a class map `(height, width)` uint8, or `detection.evaluation.Truth`.
        image: `(height, width, 3)` uint8, or None where only predictions are scored.
    """

    name: str
    truth: object
    image: np.ndarray | None = None


# A sample, and what a method predicts for it.
Predicted = tuple[Sample, object]


class Example(NamedTuple):
    """One image to look at; pictures at most `PICTURE_SIDE` pixels a side.

    Attributes:
        name: of the sample.
        image: uint8 [h, w, 3], or None without images.
        truth, prediction: uint8 [h, w] or [h, w, 3].
        score: of this image alone, if there is one.
    """

    name: str
    image: np.ndarray | None
    truth: np.ndarray
    prediction: np.ndarray
    score: float | None = None


class DataSet(NamedTuple):
    """Images with ground truth.

    Attributes:
        name: as in papers: "ECSSD".
        count: images.
        keys: gives their names, without decoding what they name.
        samples: reads them, in order; anew at each call.
        facts: for the report, such as where it lies.
    """

    name: str
    count: int
    keys: Callable[[], Iterable[str]]
    samples: Callable[[], Iterable[Sample]]
    facts: Mapping


class Method(NamedTuple):
    """What predicts.

    Attributes:
        name: unique among the methods.
        predict: samples and their predictions, of a data set.
        facts: for the report, such as the run directory.
        variant: its row in the paper's table; of saliency without one, its name is
            looked up in Table 2.
        check: raises `PicanetError` if it cannot do a data set; before any work.
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
    """Samples and their predictions.

    Args:
        predict_arrays: a function from images to predictions, both in order.
        samples: with images.
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
    """uint8, at most `PICTURE_SIDE` pixels a side."""
    image = Image.fromarray(picture)
    image.thumbnail((PICTURE_SIDE, PICTURE_SIDE), resampling)
    return np.array(image)
