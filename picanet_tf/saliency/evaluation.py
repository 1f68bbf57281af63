"""Scores a method on a data set, image by image, in memory that does not grow.

Knows no files: samples and maps come in as iterables, what was found goes out as one
`Evaluation`. Imports no TensorFlow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

import numpy as np
from PIL import Image

from picanet_tf.errors import PicanetError
from picanet_tf.saliency.metrics import (
    THRESHOLDS,
    Measured,
    SaliencyMetrics,
    SaliencyScores,
)

# Of the centred Gaussian, as a share of each side.
CENTER_SIGMA = 0.25
# Pictures are kept no larger than they are shown.
PICTURE_SIDE = 320


class Sample(NamedTuple):
    """One image of a data set.

    Attributes:
        name: unique in its data set.
        mask: `(height, width)` uint8 0..255, or bool.
        image: `(height, width, 3)` uint8, or None where only maps are scored.
    """

    name: str
    mask: np.ndarray
    image: np.ndarray | None = None


# A sample and what a method made of it: `(height, width)`, float 0..1 or uint8 0..255.
Predicted = tuple[Sample, np.ndarray]


class Example(NamedTuple):
    """One image to look at, reduced to at most `PICTURE_SIDE` pixels a side."""

    name: str
    score: float | None
    image: np.ndarray | None
    mask: np.ndarray
    prediction: np.ndarray


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
        >>> evaluate((sample, center_map(*sample.mask.shape)) for sample in samples)
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


def predict_samples(
    predict_arrays: Callable[[Iterable[np.ndarray]], Iterable[np.ndarray]],
    samples: Iterable[Sample],
) -> Iterator[Predicted]:
    """Samples and their maps, from a function from images to maps, both in order."""
    waiting: deque[Sample] = deque()

    def images():
        for sample in samples:
            waiting.append(sample)
            yield sample.image

    for saliency in predict_arrays(images()):
        yield waiting.popleft(), saliency


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
    if prediction.shape == sample.mask.shape:
        return sample, prediction, False
    return sample, resize_map(prediction, *sample.mask.shape), True


def _measured(
    predicted: Iterable[tuple[Sample, np.ndarray, bool]],
    metrics: SaliencyMetrics,
    workers: int,
) -> Iterator[tuple[Sample, np.ndarray, bool, Measured]]:
    """Adds the measurements, in order; at most two images a worker are under way."""
    if not workers:
        for sample, prediction, changed in predicted:
            with _errors_named(sample.name):
                measured = metrics.measure(prediction, sample.mask, sample.name)
            yield sample, prediction, changed, measured
        return
    executor = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_end_with_parent,
    )
    under_way: deque = deque()

    def finished():
        sample, prediction, changed, future = under_way.popleft()
        with _errors_named(sample.name):
            return sample, prediction, changed, future.result()

    try:
        for sample, prediction, changed in predicted:
            with _ctrl_c_waits():
                future = executor.submit(
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
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _measure(settings, prediction, name, mask) -> Measured:
    """What a worker process runs."""
    return SaliencyMetrics(*settings).measure(prediction, mask, name)


@contextlib.contextmanager
def _errors_named(name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise PicanetError(f"{name}: {error}") from error


@contextlib.contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Holds Ctrl-C back; processes started inside never see it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    # A parent that was killed cannot tell its workers, which would wait for ever.
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


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
    mask = np.asarray(sample.mask)
    if mask.dtype != np.uint8:
        mask = np.uint8(mask) * 255 if mask.dtype == bool else np.uint8(mask * 255)
    if prediction.dtype != np.uint8:
        prediction = np.uint8(np.rint(prediction.clip(0, 1) * 255))
    return Example(
        sample.name,
        score,
        None if sample.image is None else _reduced(sample.image),
        _reduced(mask),
        _reduced(prediction),
    )


def _reduced(picture: np.ndarray) -> np.ndarray:
    """uint8, at most `PICTURE_SIDE` pixels a side."""
    image = Image.fromarray(picture)
    image.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    return np.array(image)
