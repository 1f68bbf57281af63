"""Context managers for Ctrl-C and SIGTERM. Imports no TensorFlow.

Only the main thread can handle signals; in other threads these have no effect.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

# Seconds within which signals count as one, since `timeout` sends SIGTERM twice; and
# seconds that the main thread has, after a second signal, to end by itself.
_SAME, _GRACE = 0.5, 2.0


class Terminated(SystemExit):
    """Raised on SIGTERM; the exit code is 143, as in a shell."""

    def __init__(self):
        super().__init__(128 + signal.SIGTERM)


@contextlib.contextmanager
def sigterm_unwinds() -> Iterator[Callable[[], None]]:
    """Makes SIGTERM raise `Terminated`, as Ctrl-C raises `KeyboardInterrupt`.

    Child processes started inside are terminated by the signal.

    Yields:
        A function that raises `Terminated` again if the signal was received, because
        exceptions raised inside callbacks such as `__del__` are lost.
    """
    came = []

    def handle(number, _frame) -> None:
        came.append(number)
        raise Terminated

    def check() -> None:
        if came:
            raise Terminated

    with _handle_signal(signal.SIGTERM, handle):
        yield check


@contextlib.contextmanager
def signals_ignored() -> Iterator[None]:
    """Ignores Ctrl-C and SIGTERM during cleanup; `timeout`, for one, sends it twice."""
    with (
        _handle_signal(signal.SIGINT, signal.SIG_IGN),
        _handle_signal(signal.SIGTERM, signal.SIG_IGN),
    ):
        yield


@contextlib.contextmanager
def sigint_blocked() -> Iterator[None]:
    """Defers Ctrl-C until exit; processes started inside never receive it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class StopRequest:
    """Records the first SIGINT or SIGTERM; a second one acts immediately.

    For work that may stop only at certain points. `KeyboardInterrupt` at an arbitrary
    point is not safe: parts of TensorFlow's tracing swallow it or convert it to another
    exception.

    Args:
        answer: line to print to stderr at once when a signal is received, also while
            the main thread is in a long call of TensorFlow; a second one then ends the
            process. Not for work with child processes.
        on_signal: called from the signal handler.

    Attributes:
        received: number of the signal; None before one is received.
    """

    def __init__(self, answer: str = "", on_signal: Callable[[], object] | None = None):
        self.received: int | None = None
        self._answer = answer
        self._on_signal = on_signal
        self._previous: dict = {}
        self._answering = contextlib.ExitStack()

    @property
    def signal(self) -> int:
        """The signal received; SIGTERM if another process requested the stop."""
        return self.received or signal.SIGTERM

    def obey(self) -> None:
        """Raises the default exception of a received signal; else does nothing.

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
            if self._answer:
                self._answering.enter_context(_answering(self._answer))
        return self

    def __exit__(self, *_) -> None:
        self._answering.close()
        self._restore()

    def _note(self, number, _frame) -> None:
        self.received = number
        self._restore()
        if self._on_signal:
            self._on_signal()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}


@contextlib.contextmanager
def _answering(answer: str) -> Iterator[None]:
    """Prints `answer` at the first signal, and ends the process after a second one.

    From a thread, because handlers wait until the main thread is back in Python.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    over = threading.Event()

    def listen() -> None:
        first = None
        while number := reader.recv(1)[0]:
            if number not in (signal.SIGINT, signal.SIGTERM):
                continue
            if first is None:
                first = time.monotonic()
                # Bypass sys.stderr, which may be in the middle of a write.
                os.write(2, f"\n{answer}\n".encode())
            elif time.monotonic() - first > _SAME and not over.wait(_GRACE):
                os._exit(128 + number)

    previous = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(previous)
        writer.send(b"\0")
        thread.join()
        reader.close()
        writer.close()


@contextlib.contextmanager
def _handle_signal(number: int, handler) -> Iterator[None]:
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
