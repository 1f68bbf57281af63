"""How a training ends before its last step. Imports no TensorFlow."""

from __future__ import annotations

import signal
from pathlib import Path

from picanet_tf.core.errors import PicanetError


class TrainingError(PicanetError):
    """Training cannot go on; the last checkpoint is intact."""


class WorkerLost(PicanetError):
    """Another worker is gone, and with it the step; the last checkpoint is intact."""


class TrainingInterrupted(Exception):
    """Training stopped on request, with its state saved.

    Attributes:
        step, steps: done, and of the whole training.
        signal: the signal that asked for it.
        run: path of the run directory.
    """

    def __init__(self, step: int, steps: int, signal_number: int, run: Path):
        super().__init__(f"interrupted after step {step}")
        self.step = step
        self.steps = steps
        self.run = run
        self.signal = signal.Signals(signal_number)


class NotFinite(Exception):
    """A step met infinities or NaN; the model is spoilt.

    Attributes:
        names: of the losses that are not finite, or "gradients".
        stop: whether any worker was asked to stop, as `TrainingStep` returns it.
    """

    def __init__(self, names: list[str], stop: bool):
        super().__init__(", ".join(names))
        self.names = names
        self.stop = stop
