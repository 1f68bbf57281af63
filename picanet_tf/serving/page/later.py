"""Lazy values computed in a background thread. Imports no TensorFlow."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Later(Generic[T]):
    """A value that is computed once, in a background thread.

    Args:
        make: computes the value; its exception is raised by every call of `result`.
    """

    def __init__(self, make: Callable[[], T]):
        self._make = make
        self._future: Future[T] = Future()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the computation unless it has been started."""
        with self._lock:
            if self._thread is None:
                # A daemon, so that Ctrl-C does not wait for it.
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()

    @property
    def done(self) -> bool:
        """Whether the computation has finished or failed."""
        return self._future.done()

    def result(self) -> T:
        """Returns the value; starts the computation if necessary and waits for it."""
        self.start()
        return self._future.result()

    def _run(self) -> None:
        try:
            value = self._make()
        except BaseException as error:
            self._future.set_exception(error)
        else:
            self._future.set_result(value)
