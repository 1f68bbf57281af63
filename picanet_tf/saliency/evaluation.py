"""Scores a method on a data set, image by image, in memory that does not grow.

Knows no files: samples and maps come in as iterables, what was found goes out as one
`Evaluation`. Imports no TensorFlow.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

import numpy as np
from PIL import Image

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.processes import worker_pool
from picanet_tf.core.signals import sigint_blocked
from picanet_tf.evaluation.samples import Example, Predicted, Sample, shrink_picture
from picanet_tf.saliency.measures import THRESHOLDS
from picanet_tf.saliency.metrics import Measured, SaliencyMetrics, SaliencyScores

# Of the centred Gaussian, as a share of each side.
CENTER_SIGMA = 0.25


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a method reached on a data set.

    Attributes:
        scores: means, mean curves and each image's row.
        precision: `(images, 256)` float32, each image's own curve; zeros where the mask
            is empty.
        recall: as above.
        resized: how many maps had not their mask's size.
        worst: the images of the lowest F (each at its own best threshold), lowest
            first; those with an empty mask left out.
        best: as above, highest first.
        picked: the images asked for by number.
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

    A map of another size than its mask is resized to it, bilinearly, as the field does.
    Per image 2 kB stay in memory (its curves and scores).

    Args:
        predicted: samples and their maps; taken one by one.
        normalize: see `SaliencyMetrics`.
        which: names of the scores wanted, None for all.
        workers: processes that measure while `predicted` goes on; 0 for none. With
            some, the calling script needs `if __name__ == "__main__"`.
        panel_images: how many worst and best images to keep.
        pick: numbers of images, from 0, to keep as well.

    Raises:
        PicanetError: there is no image; one cannot be scored, named; or a process was
            killed.

    Example:
        >>> evaluate((sample, center_map(*sample.truth.shape)) for sample in samples)
    """
    metrics = SaliencyMetrics(normalize, which)
    worst, best = _Ranking(panel_images), _Ranking(panel_images, highest=True)
    picked, precision, recall = [], [], []
    resized = 0
    nothing = np.zeros(THRESHOLDS, np.float32)
    at_mask_size = (_at_mask_size(item) for item in predicted)
    with contextlib.closing(_measured(at_mask_size, metrics, workers)) as results:
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
        raise PicanetError("There is no image to score")
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
    """A Gaussian at the centre, the same for every image: what a method must beat.

    Args:
        height, width: in pixels.
        sigma: standard deviation, as a share of each side.

    Returns:
        `(height, width)` float32, 1 at the very centre.
    """

    def profile(size):
        distance = (np.arange(size) + 0.5) / size - 0.5
        return np.exp(-0.5 * (distance / sigma) ** 2)

    return np.outer(profile(height), profile(width)).astype(np.float32)


def resize_map(prediction: np.ndarray, height: int, width: int) -> np.ndarray:
    """A map, uint8 or float, at another size, bilinearly: float32 0..1."""
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


def _measured(
    predicted: Iterable[tuple[Sample, np.ndarray, bool]],
    metrics: SaliencyMetrics,
    workers: int,
) -> Iterator[tuple[Sample, np.ndarray, bool, Measured]]:
    """Adds the measurements, in order; at most two images a worker are under way."""
    if not workers:
        for sample, prediction, changed in predicted:
            with _errors_named(sample.name):
                measured = metrics.measure(prediction, sample.truth, sample.name)
            yield sample, prediction, changed, measured
        return
    under_way: deque = deque()

    def finished():
        sample, prediction, changed, future = under_way.popleft()
        with _errors_named(sample.name):
            return sample, prediction, changed, future.result()

    try:
        with worker_pool(workers) as pool:
            for sample, prediction, changed in predicted:
                with sigint_blocked():
                    future = pool.submit(
                        _measure, metrics.settings, prediction, *sample[:2]
                    )
                under_way.append((sample, prediction, changed, future))
                if len(under_way) >= 2 * workers:
                    yield finished()
            while under_way:
                yield finished()
    except BrokenProcessPool as error:
        raise PicanetError(
            "A process that scores was killed, perhaps for want of memory. Fewer of "
            f"them need less. Received: workers={workers}"
        ) from error


def _measure(settings, prediction, name, mask) -> Measured:
    """What a worker process runs."""
    return SaliencyMetrics(*settings).measure(prediction, mask, name)


@contextlib.contextmanager
def _errors_named(name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise PicanetError(f"{name}: {error}") from error


class _Ranking:
    """The examples of the lowest or highest scores."""

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
