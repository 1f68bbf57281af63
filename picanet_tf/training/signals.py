"""Ctrl-C and SIGTERM as a request: finish the step, save, then leave."""

from __future__ import annotations

import os
import signal


class TrainingInterrupted(Exception):
    """Training stopped on request, with its state saved.

    Attributes:
        step: steps done.
        signal: the signal that asked for it.
    """

    def __init__(self, step: int, signal_number: int):
        super().__init__(f"interrupted after step {step}")
        self.step = step
        self.signal = signal.Signals(signal_number)


class StopRequest:
    """While entered, notes the first SIGINT or SIGTERM; a second acts at once.

    An exception at any place, as Python makes of Ctrl-C, is not safe everywhere: some
    of TensorFlow's tracing swallows it, some turns it into another one.

    Args:
        answer: a line for the terminal when it comes.
    """

    def __init__(self, answer: str = ""):
        self.received: int | None = None
        self._answer = answer
        self._previous: dict = {}

    @property
    def signal(self) -> int:
        """What asked this worker to stop; SIGTERM when it was another one."""
        return self.received or signal.SIGTERM

    def obey(self) -> None:
        """If asked to stop, ends the program as the signal does that nobody notes.

        Raises:
            KeyboardInterrupt: after SIGINT.
            SystemExit: after SIGTERM.
        """
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received:
            raise SystemExit(128 + self.received)

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._previous[number] = signal.signal(number, self._note)
            except ValueError:  # not the main thread: signals are not ours to handle
                break
        return self

    def __exit__(self, *_) -> None:
        self._restore()

    def _note(self, number, _frame) -> None:
        self.received = number
        self._restore()
        if self._answer:
            os.write(2, f"\n{self._answer}\n".encode())

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
