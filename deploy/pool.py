"""Files to a server, several requests at a time. Imports no TensorFlow."""

from __future__ import annotations

import itertools
import queue
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from data_pipeline.files import Input

FIRST_PAUSE = 0.25
_PNG = b"\x89PNG\r\n\x1a\n"


class Refused(Exception):
    """The server answered, and it was no map. Another try would end the same."""


class NoAnswer(Exception):
    """None came.

    Args:
        message: why, without the server's name.
        again: whether another try may help: the server was unavailable.
    """

    def __init__(self, message: str, again: bool):
        super().__init__(message)
        self.again = again


class Outcome(NamedTuple):
    """Of one file.

    Attributes:
        item: it.
        output: where its map goes.
        png: the map; None if there is none.
        error: why there is none.
        seconds: from its first request to its answer, pauses included.
        again: how often its request was sent again.
    """

    item: Input
    output: Path
    png: bytes | None = None
    error: str = ""
    seconds: float = 0.0
    again: int = 0


def pause(tried: int) -> float:
    """Seconds to wait after the first try (0), the second (1) ...; a bit random, so
    that those who were refused together do not come back together."""
    return FIRST_PAUSE * 2**tried * random.uniform(0.75, 1.25)


class Pool:
    """Threads that send files, each one at a time.

    It takes up no more files when told to stop, and when as many in a row as there are
    threads got no answer: the server is gone then.

    Args:
        predict: from an image's bytes to a PNG's; called by several threads at once.
            Raises `Refused` or `NoAnswer`.
        pairs: (file, where its map goes).
        in_flight: threads.
        retries: of each file, after a `NoAnswer` with `again`.

    Attributes:
        gone: the last word from a server that is gone; else empty.
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
        # Bounded, so that maps do not pile up ahead of a slow disk.
        self._done: queue.Queue = queue.Queue(maxsize=2 * in_flight)

    def outcomes(self) -> Iterator[Outcome]:
        """Of each file that was taken up, as they come."""
        # Daemons: whoever leaves this loop need not wait for them.
        for _ in range(self._in_flight):
            threading.Thread(target=self._work, daemon=True).start()
        running = self._in_flight
        while running:
            done = self._done.get()
            if isinstance(done, Outcome):
                yield done
            elif done is None:
                running -= 1
            else:
                raise done

    def stop(self) -> None:
        """Takes up no more files, and tries none again; what is in flight ends."""
        self._stopped.set()

    def _work(self) -> None:
        try:
            while not self._stopped.is_set():
                with self._lock:
                    pair = next(self._pairs, None)
                if pair is None:
                    break
                self._done.put(self._outcome(*pair))
        except Exception as error:  # Ours; without it the other side waits for ever.
            self._done.put(error)
        self._done.put(None)

    def _outcome(self, item: Input, output: Path) -> Outcome:
        try:
            image = item.path.read_bytes()
        except OSError as error:
            return Outcome(item, output, error=f"cannot be read: {error.strerror}")
        start = time.perf_counter()
        png, error, again = self._ask(image)
        return Outcome(item, output, png, error, time.perf_counter() - start, again)

    def _ask(self, image: bytes) -> tuple[bytes | None, str, int]:
        for tried in itertools.count():
            try:
                png = self._predict(image)
                self._answered()
                if png.startswith(_PNG):
                    return png, "", tried
                return None, "the answer is no PNG", tried
            except Refused as refusal:
                self._answered()
                return None, str(refusal), tried
            except NoAnswer as failure:
                last = not failure.again or tried == self._retries
                if last or self._stopped.wait(pause(tried)):
                    self._not_answered(str(failure))
                    return None, str(failure), tried

    def _answered(self) -> None:
        with self._lock:
            self._unanswered = 0

    def _not_answered(self, message: str) -> None:
        with self._lock:
            self._unanswered += 1
            if self._unanswered >= self._in_flight and not self._stopped.is_set():
                self.gone = message
                self._stopped.set()
