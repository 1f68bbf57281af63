"""Sends files to a server concurrently. Imports no TensorFlow."""

from __future__ import annotations

import itertools
import queue
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from deploy.client import NoAnswer, Refused
from picanet_tf.core.inputs import Input

FIRST_PAUSE = 0.25
_PNG = b"\x89PNG\r\n\x1a\n"


class Outcome(NamedTuple):
    """The outcome of one file.

    Attributes:
        item: the file.
        output: output path of its map.
        png: the map; None if failed.
        error: error message if failed.
        seconds: from the first request to the response, including pauses.
        resent: number of retries.
    """

    item: Input
    output: Path
    png: bytes | None = None
    error: str = ""
    seconds: float = 0.0
    resent: int = 0


def draw_pause(attempt: int) -> float:
    """Returns the seconds to wait after an attempt, counted from 0.

    Randomized, so that requests that failed together are not retried together.
    """
    return FIRST_PAUSE * 2**attempt * random.uniform(0.75, 1.25)


class Pool:
    """A pool of threads that each send one file at a time.

    It starts no more files after `stop`, or after `in_flight` consecutive files without
    a response: the server is then considered gone.

    Args:
        predict: `Client.predict`.
        pairs: (file, output path of its map).
        in_flight: number of threads.
        retries: retries per file after a `NoAnswer` with `retry`.

    Attributes:
        gone: last error if the server is gone; otherwise empty.
    """

    def __init__(
        self,
        predict: Callable[[bytes], bytes],
        pairs: Iterable[tuple[Input, Path]],
        in_flight: int,
        retries: int,
    ):
        self.gone = ""
        self._predict = predict
        self._pairs = iter(pairs)
        self._in_flight = in_flight
        self._retries = retries
        self._unanswered = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        # Bounded, so that maps do not accumulate if the disk is slow.
        self._results: queue.Queue = queue.Queue(maxsize=2 * in_flight)

    def outcomes(self) -> Iterator[Outcome]:
        """Starts the threads; yields outcomes in the order of completion."""
        # Daemons, so that leaving this loop early does not wait for them.
        for _ in range(self._in_flight):
            threading.Thread(target=self._work, daemon=True).start()
        running = self._in_flight
        while running:
            result = self._results.get()
            if isinstance(result, Outcome):
                yield result
            elif result is None:
                running -= 1
            else:
                raise result

    def stop(self) -> None:
        """Starts no more files or retries; requests in flight continue."""
        self._stopped.set()

    def _work(self) -> None:
        try:
            while not self._stopped.is_set():
                with self._lock:
                    pair = next(self._pairs, None)
                if pair is None:
                    break
                self._results.put(self._send(*pair))
        except Exception as error:  # a bug, passed on so that `outcomes` does not hang
            self._results.put(error)
        self._results.put(None)

    def _send(self, item: Input, output: Path) -> Outcome:
        try:
            image = item.path.read_bytes()
        except OSError as error:
            return Outcome(item, output, error=f"cannot be read: {error.strerror}")
        start = time.perf_counter()
        png, error, resent = self._ask(image)
        return Outcome(item, output, png, error, time.perf_counter() - start, resent)

    def _ask(self, image: bytes) -> tuple[bytes | None, str, int]:
        """Sends an image, with retries; returns (PNG or None, error, retries)."""
        for attempt in itertools.count():
            try:
                png = self._predict(image)
                self._note_answer()
                if png.startswith(_PNG):
                    return png, "", attempt
                return None, "the answer is not a PNG", attempt
            except Refused as refusal:
                self._note_answer()
                return None, str(refusal), attempt
            except NoAnswer as failure:
                last = not failure.retry or attempt == self._retries
                if last or self._stopped.wait(draw_pause(attempt)):
                    self._note_failure(str(failure))
                    return None, str(failure), attempt

    def _note_answer(self) -> None:
        with self._lock:
            self._unanswered = 0

    def _note_failure(self, message: str) -> None:
        with self._lock:
            self._unanswered += 1
            if self._unanswered >= self._in_flight and not self._stopped.is_set():
                self.gone = message
                self._stopped.set()
