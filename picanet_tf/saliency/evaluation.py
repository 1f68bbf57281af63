"""Scores a method on a data set image by image, without keeping the maps in memory.

Samples and maps are passed as iterables, and the result is one `Evaluation`; files are
handled elsewhere. Does not import TensorFlow.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np
from PIL import Image

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.processes import worker_pool
from picanet_tf.core.signals import sigint_blocked
from picanet_tf.evaluation.samples import Example, Predicted, Sample, shrink_picture
from picanet_tf.saliency.measures import THRESHOLDS
from picanet_tf.saliency.metrics import Measured, SaliencyMetrics, SaliencyScores

# Standard deviation of the centred Gaussian, as a fraction of each side.
CENTER_SIGMA = 0.25


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The results of a method on a data set.

    Attributes:
        scores: mean scores, mean curves and the scores of each image.
        precision: `(images, 256)` float32, the curve of each image; zeros for images
            with an empty mask.
        recall: as `precision`.
        resized: number of maps that were resized to their mask.
        worst: the images with the lowest F (each at its own best threshold), lowest
            first; images with an empty mask are excluded.
        best: as `worst`, but the highest, highest first.
        picked: the images requested by number.
    """

    scores: SaliencyScores
    precision: np.ndarray
    recall: np.ndarray
    resized: int
    worst: tuple[Example, ...]
    best: tuple[Example, ...]
    picked: tuple[Example, ...]


def evaluate(
    predicted: Iterable[Predicted],
    *,
    normalize: bool = True,
    which: Sequence[str] | None = None,
    workers: int = 0,
    panel_images: int = 6,
    pick: Collection[int] = (),
) -> Evaluation:
    """Scores maps against masks at the masks' size.

    Maps of a different size are resized to their mask bilinearly, as is common in the
    field. About 2 kB per image (its curves and scores) are kept in memory.

    Args:
        predicted: samples and their maps, consumed one by one.
        normalize: see `SaliencyMetrics`.
        which: names of the scores to compute; None for all.
        workers: number of processes that score while `predicted` is consumed; 0 scores
            in this process. With workers, the calling script needs
            `if __name__ == "__main__"`.
        panel_images: how many worst and best images to keep.
        pick: indices (from 0) of further images to keep.

    Raises:
        PicanetError: if there are no images, if an image cannot be scored (the message
            names it), or if a worker process was killed.

    Example:
        >>> evaluate((sample, center_map(*sample.truth.shape)) for sample in samples)
    """
    metrics = SaliencyMetrics(normalize, which)
    worst, best = _Ranking(panel_images), _Ranking(panel_images, highest=True)
    picked, precision, recall = [], [], []
    resized = 0
    nothing = np.zeros(THRESHOLDS, np.float32)
    at_mask_size = (_at_mask_size(item) for item in predicted)
    with contextlib.closing(_measure_all(at_mask_size, metrics, workers)) as results:
        for number, (sample, prediction, changed, measured) in enumerate(results):
            metrics.add(measured)
            resized += changed
            found = measured.precision is not None
            precision.append(np.float32(measured.precision) if found else nothing)
            recall.append(np.float32(measured.recall) if found else nothing)
            score = measured.row.max_f
            for ranking in (worst, best):
                if score is not None and ranking.wants(score):
                    ranking.add(_example(sample, prediction, score))
            if number in pick:
                picked.append(_example(sample, prediction, score))
    if not precision:
        raise PicanetError("There are no images to score")
    return Evaluation(
        scores=metrics.result(),
        precision=np.stack(precision),
        recall=np.stack(recall),
        resized=resized,
        worst=tuple(worst.examples),
        best=tuple(best.examples),
        picked=tuple(picked),
    )


def center_map(height: int, width: int, sigma: float = CENTER_SIGMA) -> np.ndarray:
    """Returns a centred Gaussian, the center-bias baseline.

    Args:
        height, width: size in pixels.
        sigma: standard deviation, as a fraction of each side.

    Returns:
        `(height, width)` float32, 1 at the very centre.
    """

    def profile(size):
        distance = (np.arange(size) + 0.5) / size - 0.5
        return np.exp(-0.5 * (distance / sigma) ** 2)

    return np.outer(profile(height), profile(width)).astype(np.float32)


def resize_map(prediction: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes a uint8 or float map bilinearly to float32 in 0..1."""
    if prediction.dtype == np.uint8:
        prediction = prediction / 255
    picture = Image.fromarray(np.asarray(prediction, np.float32))
    resized = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    return resized.clip(0, 1)


def _at_mask_size(predicted: Predicted) -> tuple[Sample, np.ndarray, bool]:
    sample, prediction = predicted
    if prediction.shape == sample.truth.shape:
        return sample, prediction, False
    return sample, resize_map(prediction, *sample.truth.shape), True


def _measure_all(
    predicted: Iterable[tuple[Sample, np.ndarray, bool]],
    metrics: SaliencyMetrics,
    workers: int,
) -> Iterator[tuple[Sample, np.ndarray, bool, Measured]]:
    """Yields each image with its scores, in order; queues two images per worker."""
    if not workers:
        for sample, prediction, changed in predicted:
            with _name_errors(sample.name):
                measured = metrics.measure(prediction, sample.truth, sample.name)
            yield sample, prediction, changed, measured
        return
    pending: deque = deque()

    def next_result():
        sample, prediction, changed, future = pending.popleft()
        with _name_errors(sample.name):
            return sample, prediction, changed, future.result()

    with worker_pool(workers) as pool:
        for sample, prediction, changed in predicted:
            with sigint_blocked():
                future = pool.submit(
                    _measure, metrics.settings, prediction, *sample[:2]
                )
            pending.append((sample, prediction, changed, future))
            if len(pending) >= 2 * workers:
                yield next_result()
        while pending:
            yield next_result()


def _measure(settings, prediction, name, mask) -> Measured:
    """Scores an image in a worker process."""
    return SaliencyMetrics(*settings).measure(prediction, mask, name)


@contextlib.contextmanager
def _name_errors(name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise PicanetError(f"{name}: {error}") from error


class _Ranking:
    """Keeps the examples with the lowest or highest scores."""

    def __init__(self, size: int, highest: bool = False):
        self._size = size
        self._sign = -1 if highest else 1
        self.examples: list[Example] = []

    def wants(self, score: float) -> bool:
        if len(self.examples) < self._size:
            return True
        return bool(self._size) and self._key(score) < self._key(
            self.examples[-1].score
        )

    def add(self, example: Example) -> None:
        self.examples.append(example)
        self.examples.sort(key=lambda example: self._key(example.score))
        del self.examples[self._size :]

    def _key(self, score: float) -> float:
        return self._sign * score


def _example(sample: Sample, prediction: np.ndarray, score: float | None) -> Example:
    mask = np.asarray(sample.truth)
    if mask.dtype != np.uint8:
        mask = np.uint8(mask) * 255 if mask.dtype == bool else np.uint8(mask * 255)
    if prediction.dtype != np.uint8:
        prediction = np.uint8(np.rint(prediction.clip(0, 1) * 255))
    return Example(
        sample.name,
        None if sample.image is None else shrink_picture(sample.image),
        shrink_picture(mask),
        shrink_picture(prediction),
        score,
    )
