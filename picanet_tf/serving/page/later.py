"""What takes long to make, made beside everything else. No TensorFlow."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Later(Generic[T]):
    """A value that a thread makes, once for all who ask for it.

    Args:
        make: what makes it. An exception of its is raised to each who asks.
    """

    def __init__(self, make: Callable[[], T]):
        self._make = make
        self._future: Future[T] = Future()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to make it, unless that was begun."""
        with self._lock:
            if self._thread is None:
                # A daemon, so that Ctrl-C need not wait for it.
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it is made, or could not be."""
        return self._future.done()

    def result(self) -> T:
        """The value; begins to make it if need be, and waits for it."""
        self.start()
        return self._future.result()

    def _run(self) -> None:
        try:
            value = self._make()
        except BaseException as error:
            self._future.set_exception(error)
        else:
            self._future.set_result(value)
