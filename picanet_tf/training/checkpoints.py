"""The whole state of a training on disk: weights, velocities, dropout seeds, step."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf
from absl import logging

from picanet_tf.errors import PicanetError

# What TensorFlow raises for files that are cut short, garbled, or of another model.
_UNREADABLE = (tf.errors.OpError, AssertionError, ValueError, LookupError, OSError)


class Checkpoints:
    """Saves and restores what a run needs to go on as if it had not stopped.

    Args:
        directory: where to; made when missing.
        model: built model; its weights and the states of its random generators.
        optimizer: built optimizer.
        keep: how many of the newest checkpoints stay.

    Attributes:
        step: steps done, as of the last save or restore.
        best: the best validation score so far; None before the first.
    """

    def __init__(self, directory: Path, model: keras.Model, optimizer, keep: int = 2):
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._best = tf.Variable(float("-inf"), dtype=tf.float64, trainable=False)
        # Weights by path, so that a changed model is an error and not a silent mix-up.
        # What else there is has names that differ from one model to the next in a
        # process; its order follows from the model's.
        weights = {variable.path: variable.value for variable in model.weights}
        seeds = [v for v in model.variables if v.path not in weights]
        checkpoint = tf.train.Checkpoint(
            step=self._step,
            best=self._best,
            weights=weights,
            seeds=_by_index(seeds),
            optimizer=_by_index(optimizer.variables),
        )
        self._checkpoint = checkpoint
        self._manager = tf.train.CheckpointManager(
            checkpoint, str(directory), max_to_keep=keep, checkpoint_name="step"
        )

    @property
    def step(self) -> int:
        return int(self._step.numpy())

    @property
    def best(self) -> float | None:
        best = float(self._best.numpy())
        return None if best == float("-inf") else best

    @best.setter
    def best(self, value: float) -> None:
        self._best.assign(value)

    def save(self, step: int) -> None:
        """Writes the state after `step` steps."""
        self._step.assign(step)
        self._manager.save(checkpoint_number=step)

    def restore(self) -> int:
        """Restores the newest checkpoint that can be read, and returns its step.

        Raises:
            PicanetError: there is none, or none that can be read and fits the model.
        """
        for path in reversed(self._manager.checkpoints):
            try:
                self._checkpoint.restore(path).assert_consumed()
            except _UNREADABLE as error:
                reason = str(error).splitlines()[0]
                logging.warning("Cannot restore %s: %s", path, reason)
                continue
            return self.step
        raise PicanetError(
            f"No checkpoint in {self._manager.directory} can be restored, so there is "
            "nothing to resume"
        )


def _by_index(variables) -> dict[str, tf.Variable]:
    return {str(index): variable.value for index, variable in enumerate(variables)}
