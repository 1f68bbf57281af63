"""Sends files to a server, several at a time. Imports no TensorFlow."""

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
    """What became of one file.

    Attributes:
        item: the file.
        output: where its map goes.
        png: the map; None if there is none.
        error: why there is none.
        seconds: from its first request to its answer, pauses included.
        resent: how often its request was sent again.
    """

    item: Input
    output: Path
    png: bytes | None = None
    error: str = ""
    seconds: float = 0.0
    resent: int = 0


def draw_pause(attempt: int) -> float:
    """Seconds to wait after a try: the first one (0), the second one (1) ...

    A bit random, so that requests that failed together do not come back together.
    """
    return FIRST_PAUSE * 2**attempt * random.uniform(0.75, 1.25)


class Pool:
    """Threads that send files, each one at a time.

    It starts no more files when it is told to stop, or when as many in a row as there
    are threads got no answer: then the server is gone.

    Args:
        predict: `Client.predict`.
        pairs: (file, where its map goes).
        in_flight: how many threads.
        retries: how often a file is sent again after a `NoAnswer` with `retry`.

    Attributes:
        gone: the last error of a server that is gone; otherwise empty.
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
        # Bounded, so that maps do not pile up in front of a slow disk.
        self._results: queue.Queue = queue.Queue(maxsize=2 * in_flight)

    def outcomes(self) -> Iterator[Outcome]:
        """Starts the threads; yields the outcome of each file started, as they come."""
        # Daemons: whoever leaves this loop early need not wait for them.
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
        """Starts no more files and retries none; requests in flight go on."""
        self._stopped.set()

    def _work(self) -> None:
        try:
            while not self._stopped.is_set():
                with self._lock:
                    pair = next(self._pairs, None)
                if pair is None:
                    break
                self._results.put(self._send(*pair))
        except Exception as error:  # A bug; unless it is passed on, `outcomes` hangs.
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
