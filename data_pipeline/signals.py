"""SIGTERM as Ctrl-C: what was begun is cleared away. Imports no TensorFlow."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class Terminated(SystemExit):
    """SIGTERM came; the exit code is the shell's, 143."""

    def __init__(self):
        super().__init__(128 + signal.SIGTERM)


@contextlib.contextmanager
def sigterm_unwinds() -> Iterator[None]:
    """While entered, SIGTERM raises `Terminated`, as Ctrl-C does `KeyboardInterrupt`.

    Processes started inside end at it, as all do.
    """
    with _sigterm_handled_by(_terminate):
        yield


@contextlib.contextmanager
def sigterm_ignored() -> Iterator[None]:
    """For clearing away: `timeout`, for one, sends the signal twice."""
    with _sigterm_handled_by(signal.SIG_IGN):
        yield


@contextlib.contextmanager
def _sigterm_handled_by(handler) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # Signals are not ours to handle.
        return
    previous = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _terminate(_number, _frame) -> None:
    raise Terminated
