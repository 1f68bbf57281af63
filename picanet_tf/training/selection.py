"""Selects the best network, stops early, and warns of training data without objects."""

from __future__ import annotations

import math
from collections.abc import Mapping

from absl import logging

from picanet_tf.tasks.base import Validation
from picanet_tf.training.checkpoints import Checkpoints

WITHOUT_OBJECT = 100  # steps in a row without an object before a warning


class Selection:
    """Selects the best validation, and decides when to stop.

    Its state is part of the checkpoints, so that a resumed run decides in the same way.

    Args:
        checkpoints: stores `best` and, with patience, `waited`.
        patience: number of validations in a row without improvement after which to
            stop; 0 never stops.
    """

    def __init__(self, checkpoints: Checkpoints, patience: int = 0):
        self._checkpoints = checkpoints
        self._patience = patience
        self._explained = False

    def improves(self, validation: Validation, scores: Mapping[str, float]) -> bool:
        """Records a validation and returns whether it is the best so far.

        NaN never is the best, and does not count for the patience.

        Args:
            validation: the validation, with all images.
            scores: its result.
        """
        name, value = validation.criterion(scores)
        if not self._explained:
            self._explain(validation, name, value)
        self._explained = True
        if math.isnan(value):
            return False
        state = self._checkpoints
        better = state.best is None or value > state.best
        if better:
            state.best = value
        state.waited = 0 if better else state.waited + 1
        return better

    def forget(self) -> None:
        """Starts over, because scores at different input sizes are not comparable."""
        self._checkpoints.best, self._checkpoints.waited = float("-inf"), 0

    @property
    def exhausted(self) -> bool:
        """Whether there were `patience` validations in a row without improvement."""
        return 0 < self._patience <= self._checkpoints.waited

    def _explain(self, validation: Validation, name: str, value: float) -> None:
        if validation.without_object:
            logging.warning(
                "%d of %d validation images have no object: %s",
                validation.without_object,
                validation.images,
                validation.without_object_rule,
            )
        if math.isnan(value):
            logging.warning(
                "No validation image has an object to score, so %s is undefined: there "
                "is no best.keras%s",
                name,
                ", and --patience has no effect" if self._patience else "",
            )
        elif name != validation.best:
            logging.warning(
                "%s is undefined on this validation set: best.keras is the network of "
                "the best %s",
                validation.best,
                name,
            )


class ObjectWatch:
    """Warns when many batches in a row have no object.

    Args:
        steps: number of steps of the training.
        advice: what to check.
    """

    def __init__(self, steps: int, advice: str):
        self._limit = min(WITHOUT_OBJECT, steps)
        self._advice = advice
        self._in_a_row = 0

    def see(self, has_object: bool) -> None:
        """Takes note of whether any image of a step's batch has an object."""
        self._in_a_row = 0 if has_object else self._in_a_row + 1
        if self._in_a_row == self._limit:
            logging.warning(
                "The batches of the last %d steps had no object at all, so the network "
                "learns to find nothing. %s",
                self._limit,
                self._advice,
            )
