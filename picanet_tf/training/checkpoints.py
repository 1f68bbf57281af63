"""Checkpoints of the full training state: weights, velocities, dropout seeds, step."""

from __future__ import annotations

import contextlib
import math
import os
import re
from pathlib import Path

import keras
import tensorflow as tf
from absl import logging

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import sync
from picanet_tf.training.averages import Averages

# Raised by TensorFlow for files that are truncated, corrupt, or of another model.
_UNREADABLE = (tf.errors.OpError, AssertionError, ValueError, LookupError, OSError)

_WRITING = ".writing"  # name of a checkpoint until it is complete


class Checkpoints:
    """Saves and restores the training state, so that a resumed run continues exactly.

    A checkpoint consists of `step-<n>.data-00000-of-00001` and `step-<n>.index`. Both
    are flushed to disk before the index is renamed to its final name, which makes the
    checkpoint valid; neither `kill -9` nor a power failure can lose the previous one.
    TensorFlow stores a checksum of each tensor and verifies it on restoring.

    Args:
        directory: directory of the checkpoints; created if missing.
        model: built model; its weights and random generator states are saved.
        optimizer: built optimizer.
        averages: averages of the weights; None to save none.
        keep: number of most recent checkpoints to keep.
        early_stopping: also save `waited`, which checkpoints of runs without early
            stopping lack.

    Attributes:
        step: number of steps at the last save or restore.
        best: best validation score so far; None before the first validation, and never
            NaN.
        waited: number of validations since that of `best`.
    """

    def __init__(
        self,
        directory: Path,
        model: keras.Model,
        optimizer,
        averages: Averages | None = None,
        keep: int = 2,
        early_stopping: bool = False,
    ):
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._best = tf.Variable(float("-inf"), dtype=tf.float64, trainable=False)
        self._waited = tf.Variable(0, dtype=tf.int64, trainable=False)
        # Weights are keyed by path, so that a changed model causes an error and not a
        # silent mix-up. Other variables are keyed by index: their names differ between
        # models created in the same process, but their order follows from the model's.
        weights = {variable.path: variable.value for variable in model.weights}
        seeds = [v for v in model.variables if v.path not in weights]
        checkpoint = tf.train.Checkpoint(
            step=self._step,
            best=self._best,
            weights=weights,
            seeds=_by_index(seeds),
            optimizer=_by_index(optimizer.variables),
            **({"averages": _by_index(averages.variables)} if averages else {}),
            **({"waited": self._waited} if early_stopping else {}),
        )
        self._checkpoint = checkpoint
        # Creates the counter, so that every checkpoint has it; `restore` requires it.
        checkpoint.save_counter  # noqa: B018
        self._directory = Path(directory)
        self._keep = keep

    @property
    def step(self) -> int:
        return int(self._step.numpy())

    @property
    def best(self) -> float | None:
        best = float(self._best.numpy())
        return best if math.isfinite(best) else None

    @best.setter
    def best(self, value: float) -> None:
        self._best.assign(value)

    @property
    def waited(self) -> int:
        return int(self._waited.numpy())

    @waited.setter
    def waited(self, value: int) -> None:
        self._waited.assign(value)

    def take_over(self, other: Checkpoints) -> None:
        """Takes over the step and the scores of another object for the same run."""
        for name in ("_step", "_best", "_waited"):
            getattr(self, name).assign(getattr(other, name))

    @property
    def written(self) -> list[Path]:
        """Prefixes of the checkpoints, `<directory>/step-<n>`, oldest first."""
        steps = {}
        for path in self._directory.glob("step-*.index"):
            if match := re.fullmatch(r"step-(\d+)", path.stem):
                steps[int(match[1])] = path.with_suffix("")
        return [steps[step] for step in sorted(steps)]

    def save(self, step: int) -> None:
        """Saves the state after `step` steps.

        Raises:
            PicanetError: if the checkpoint cannot be written. Earlier ones are kept.
        """
        self._step.assign(step)
        try:
            self._write(step)
        except (tf.errors.OpError, OSError) as error:
            with contextlib.suppress(OSError):
                self._remove(_WRITING)
            raise PicanetError(
                f"Cannot write the checkpoint {self._directory}/step-{step}: "
                f"{_reason(error)}. {self._intact()}"
            ) from error

    def _intact(self) -> str:
        if not self.written:
            return "There is no earlier checkpoint"
        return f"The last one, {self.written[-1]}, is intact"

    def _write(self, step: int) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._remove(_WRITING)
        written = Path(self._checkpoint.write(str(self._directory / _WRITING)))
        index = written.with_name(written.name + ".index")
        parts = sorted(self._directory.glob(f"{_WRITING}.data-*"))
        for path in (*parts, index):
            sync(path)
            os.replace(
                path, path.with_name(path.name.replace(_WRITING, f"step-{step}"))
            )
        sync(self._directory)
        # Later checkpoints were unreadable, otherwise this step would not be repeated.
        later = [path for path in self.written if _step_of(path) > step]
        old = [path for path in self.written if path not in later][: -self._keep]
        for path in (*later, *old):
            self._remove(path.name)

    def _remove(self, name: str) -> None:
        """Removes a checkpoint's files, the index first."""
        for path in sorted(self._directory.glob(f"{name}.*"), reverse=True):
            path.unlink()
        for path in self._directory.glob(f"{name}_temp*/*"):  # left by a killed process
            path.unlink()
        for path in self._directory.glob(f"{name}_temp*"):
            path.rmdir()

    def restore(self) -> int:
        """Restores the newest readable checkpoint and returns its step.

        Raises:
            PicanetError: if there is no readable checkpoint that fits the model.
        """
        for path in reversed(self.written):
            try:
                self._checkpoint.restore(str(path)).assert_consumed()
            except _UNREADABLE as error:
                logging.warning("Cannot restore %s: %s", path, _reason(error))
                continue
            return self.step
        raise PicanetError(
            f"No checkpoint in {self._directory} can be restored, so the run cannot "
            "be resumed"
        )


def _reason(error: Exception) -> str:
    """Shortens TensorFlow's `<file>; No space left on device [Op:SaveV2]`."""
    text = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    return re.sub(r"\{\{.*?\}\} ?| \[Op:.*", "", text).split("; ")[-1]


def _step_of(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _by_index(variables) -> dict[str, tf.Variable]:
    values = [v.value if isinstance(v, keras.Variable) else v for v in variables]
    return {str(index): value for index, value in enumerate(values)}
