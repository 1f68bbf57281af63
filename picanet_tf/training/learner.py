"""The network being trained, with all the state that a step changes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import tensorflow as tf
from absl import logging

from picanet_tf.core.files import replacing
from picanet_tf.models.base import Network
from picanet_tf.tasks.base import Task
from picanet_tf.training import initialization
from picanet_tf.training.averages import Averages
from picanet_tf.training.checkpoints import Checkpoints
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.selection import Selection
from picanet_tf.training.step import TrainingStep
from picanet_tf.training.validation import Validator


class Learner:
    """A network with its optimizer, the averages of its weights, and its checkpoints.

    Args:
        task: the task.
        experiment: the settings.
        strategy: the distribution strategy.
        model: network built under the strategy.
        pretrained: names of its pretrained encoder layers.
        directory: directory of the checkpoints.

    Attributes:
        model: the network.
        step: the training step.
        checkpoints: its checkpoints.
        selection: selects the best network.
        validator: runs the network on validation images.
    """

    def __init__(
        self,
        task: Task,
        experiment: Experiment,
        strategy: tf.distribute.Strategy,
        model: Network,
        pretrained: tuple[str, ...],
        directory: Path,
    ):
        self._about = (task, experiment, strategy)
        self._pretrained, self._directory = pretrained, directory
        self.model = model
        with strategy.scope():
            optimizer = initialization.make_optimizer(model, experiment, pretrained)
            self._averages = None
            if experiment.ema_decay:
                self._averages = Averages(model, optimizer, experiment.ema_decay)
        self.step = TrainingStep(*self._about, model, optimizer, self._averages)
        early_stopping = experiment.patience > 0
        self.checkpoints = Checkpoints(
            directory, model, optimizer, self._averages, early_stopping=early_stopping
        )
        self.selection = Selection(self.checkpoints, experiment.patience)
        self.validator = Validator(task, model)

    def resized(self, image_size: int) -> Learner:
        """Returns a learner in the same state whose network has another input size.

        Returns `self` if the size is the same.
        """
        if image_size == self.model.image_size:
            return self
        logging.info("The network's input has %d pixels a side now", image_size)
        task, experiment, strategy = self._about
        with strategy.scope():
            model = initialization.build(task, experiment, image_size)
        other = Learner(*self._about, model, self._pretrained, self._directory)
        other.step.restore(self.step.state())
        other.checkpoints.take_over(self.checkpoints)
        return other

    def averaged(self) -> contextlib.AbstractContextManager:
        """Context manager in which the averages, if any, are the network's weights."""
        return self._averages.swapped() if self._averages else contextlib.nullcontext()

    def save(self, path: Path) -> None:
        """Saves the network as a `.keras` file, complete or not at all.

        Raises:
            PicanetError: if it cannot be written.
        """
        with replacing(path) as temporary:
            self.model.save(temporary)
