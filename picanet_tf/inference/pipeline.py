"""Overlaps reading, inference and writing of many photos. Imports no TensorFlow."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
from absl import logging

from picanet_tf.core.hardware import cores
from picanet_tf.inference.base import Model

Job = TypeVar("Job")
_MAX_AHEAD = 4  # photos, regardless of cores: each may take 150 MB


class _Photo(NamedTuple):
    job: object
    image: np.ndarray
    resized: np.ndarray


def predict_jobs(
    model: Model,
    jobs: Iterable[Job],
    read: Callable[[Job], np.ndarray],
    write: Callable[[Job, np.ndarray, object], None],
    *,
    fatal: tuple[type[Exception], ...] = (),
    batch_size: int = 1,
) -> Iterator[tuple[Job, Exception | None]]:
    """Runs a model on many photos; threads read and write while the network runs.

    A bad photo does not stop the others: exceptions of `read` and `write` are yielded.
    An exception of the network is raised. When the iterator is closed or an exception
    is raised, writes in progress are completed and pending jobs are dropped.

    Args:
        model: the model.
        jobs: arbitrary objects, passed to `read` and `write`.
        read: job -> uint8 [H, W, 3]; called in a thread.
        write: (job, image, result) -> None; called concurrently in threads.
        fatal: exceptions of `read` and `write` that are raised, because they would
            recur with the other photos.
        batch_size: images per network call.

    Yields:
        (job, None) once its result is written, or (job, exception), in approximately
        the order of the jobs.
    """
    workers = min(cores(), _MAX_AHEAD)
    most = max(batch_size, workers + 1)
    readers, writers = ThreadPoolExecutor(workers), ThreadPoolExecutor(workers)
    jobs = iter(jobs)
    reading: deque[tuple[Job, Future]] = deque()
    writing: deque[tuple[Job, Future]] = deque()

    def start_reading() -> None:
        for job in itertools.islice(jobs, most - len(reading)):
            reading.append((job, readers.submit(prepare, job)))

    def prepare(job: Job) -> _Photo:
        image = read(job)
        return _Photo(job, image, model.resize(image))

    def complete(photo: _Photo, small) -> None:
        write(photo.job, photo.image, model.postprocess(small, photo.image.shape[:2]))

    def error_of(future: Future) -> Exception | None:
        """Waits for a future, and returns its exception unless that is fatal."""
        error = future.exception()
        if error is None or (
            isinstance(error, Exception) and not isinstance(error, fatal)
        ):
            return error
        raise error

    def written(most_left: int) -> Iterator[tuple[Job, Exception | None]]:
        while len(writing) > most_left:
            job, future = writing.popleft()
            yield job, error_of(future)

    try:
        batch: list[_Photo] = []
        start_reading()
        while reading:
            job, future = reading.popleft()
            if error := error_of(future):
                yield job, error
            else:
                batch.append(future.result())
            start_reading()
            if batch and (len(batch) == batch_size or not reading):
                results = model.infer(np.stack([photo.resized for photo in batch]))
                for photo, small in zip(batch, results, strict=True):
                    writing.append((photo.job, writers.submit(complete, photo, small)))
                    yield from written(most)
                batch = []
        yield from written(0)
    except KeyboardInterrupt:
        running = sum(future.running() for _, future in (*reading, *writing))
        if running:
            logging.info("Interrupted; finishing the %d photos in progress", running)
        raise
    finally:
        readers.shutdown(wait=True, cancel_futures=True)
        writers.shutdown(wait=True, cancel_futures=True)
