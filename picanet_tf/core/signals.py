"""Ctrl-C and SIGTERM: unwinding, waiting, or asking to stop. Imports no TensorFlow.

Only the main thread may handle signals; in any other thread all of these do nothing.
"""

from __future__ import annotations

import contextlib
import os
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

    with _handled(signal.SIGTERM, handle):
        yield check


@contextlib.contextmanager
def sigterm_ignored() -> Iterator[None]:
    """For clearing away: `timeout`, for one, sends the signal twice."""
    with _handled(signal.SIGTERM, signal.SIG_IGN):
        yield


@contextlib.contextmanager
def sigint_blocked() -> Iterator[None]:
    """Holds Ctrl-C back until it is left; processes started inside never see it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class StopRequest:
    """While entered, notes the first SIGINT or SIGTERM; a second acts at once.

    For work that may end only at certain points. An exception at any place, as Python
    makes of Ctrl-C, is not safe everywhere: some of TensorFlow's tracing swallows it,
    some turns it into another one.

    Args:
        answer: a line for the terminal when a signal comes.
        on_signal: called when it comes, within the signal's handler.

    Attributes:
        received: the signal's number; None before one came.
    """

    def __init__(self, answer: str = "", on_signal: Callable[[], object] | None = None):
        self.received: int | None = None
        self._answer = answer
        self._on_signal = on_signal
        self._previous: dict = {}

    @property
    def signal(self) -> int:
        """What asked this process to stop; SIGTERM when it was another process."""
        return self.received or signal.SIGTERM

    def obey(self) -> None:
        """Acts on a noted signal, as the signal does that nobody notes.

        Raises:
            KeyboardInterrupt: after SIGINT.
            SystemExit: after SIGTERM.
        """
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received:
            raise SystemExit(128 + self.received)

    def __enter__(self) -> StopRequest:
        if _in_main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_) -> None:
        self._restore()

    def _note(self, number, _frame) -> None:
        self.received = number
        self._restore()
        if self._on_signal:
            self._on_signal()
        if self._answer:
            # Not through Python's file, which may be being written to just now.
            os.write(2, f"\n{self._answer}\n".encode())

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}


@contextlib.contextmanager
def _handled(number: int, handler) -> Iterator[None]:
    if not _in_main_thread():
        yield
        return
    previous = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, previous)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
