"""SIGTERM as Ctrl-C: what was begun is cleared away. Imports no TensorFlow."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


class Terminated(SystemExit):
    """SIGTERM came; the exit code is the shell's, 143."""

    def __init__(self):
        super().__init__(128 + signal.SIGTERM)


@contextlib.contextmanager
def sigterm_unwinds() -> Iterator[Callable[[], None]]:
    """While entered, SIGTERM raises `Terminated`, as Ctrl-C does `KeyboardInterrupt`.

    Yields what raises it once more if it came: where Python calls back, as from a
    `__del__`, an exception is lost. Processes started inside end at the signal.
    """
    came = []

    def handle(number, _frame) -> None:
        came.append(number)
        raise Terminated

    def check() -> None:
        if came:
            raise Terminated

    with _sigterm_handled_by(handle):
        yield check


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
