"""Exceptions that end a training early. Does not import TensorFlow."""

from __future__ import annotations

import signal
from pathlib import Path

from picanet_tf.core.errors import PicanetError


class TrainingError(PicanetError):
    """Training cannot continue; the last checkpoint is intact."""


class WorkerLost(PicanetError):
    """Another worker was lost during a step; the last checkpoint is intact."""


class TrainingInterrupted(Exception):
    """Training stopped on request, with its state saved.

    Attributes:
        step: number of completed steps.
        steps: number of steps of the training.
        signal: the signal that requested the stop.
        run: path of the run directory.
    """

    def __init__(self, step: int, steps: int, signal_number: int, run: Path):
        super().__init__(f"interrupted after step {step}")
        self.step = step
        self.steps = steps
        self.run = run
        self.signal = signal.Signals(signal_number)


class NotFinite(Exception):
    """Values are infinite or NaN; after a step the model's state is then invalid.

    Attributes:
        names: names of the losses or outputs that are not finite, or "gradients".
        stop: whether any worker was asked to stop, as returned by `TrainingStep`.
    """

    def __init__(self, names: list[str], stop: bool = False):
        super().__init__(", ".join(names))
        self.names = names
        self.stop = stop
