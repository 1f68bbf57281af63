"""The training loop, with logging, validation and checkpoints.

A custom loop instead of `Model.fit`: it can resume at any step, checks every loss, and
works alike on one device, on several, and on several machines.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import replacing
from picanet_tf.core.signals import StopRequest
from picanet_tf.presets import Preset
from picanet_tf.tasks.registry import get_task
from picanet_tf.training import initialization
from picanet_tf.training.callbacks import Listener, ProgressBar, Recorder
from picanet_tf.training.checkpoints import Checkpoints
from picanet_tf.training.cluster import ALONE, Cluster
from picanet_tf.training.data import Batches
from picanet_tf.training.errors import NotFinite, TrainingError, TrainingInterrupted
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.run_directory import RunDirectory
from picanet_tf.training.selection import ObjectWatch, Selection
from picanet_tf.training.step import TrainingStep, agree, any_worker, distribute
from picanet_tf.training.strategy import make_strategy

PANELS = 4  # number of images in TensorBoard
SKIPS_IN_A_ROW = 20  # number of consecutive skips at which training stops
_FINISHED = ", its last. For more steps, start a new run with --init_from"


class Trainer:
    """Trains one network and writes all results to the run directory.

    Args:
        experiment: the settings of the training, its `precision` resolved.
        run: the run directory.
        batches: the training and validation data.
        init_from: a `.keras` file or preset to start from instead of
            `experiment.backbone_weights`.
        resume: continue from the run's last checkpoint, or from step 0 if the run was
            killed before the first.
        strategy: the distribution strategy; None to call `make_strategy`.
        cluster: the workers of the training; only the chief writes.
        new_run: arguments of `RunDirectory.create` for a run directory that does not
            exist yet. It is created once the training is ready to start, so that none
            is left behind after an error, and replaces `run`.

    Attributes:
        run_directory: the run directory.

    Example:
        >>> Trainer(experiment, run, Batches(read)).train()
    """

    def __init__(
        self,
        experiment: Experiment,
        run: RunDirectory,
        batches: Batches,
        *,
        init_from: Path | Preset | None = None,
        resume: bool = False,
        strategy: tf.distribute.Strategy | None = None,
        cluster: Cluster = ALONE,
        new_run: Mapping | None = None,
    ):
        self.task = get_task(experiment.task)
        self.experiment = experiment
        self.run_directory = run
        self.batches = batches
        self.init_from = init_from
        self.cluster = cluster
        self.strategy = strategy or make_strategy(experiment.replicas, cluster)
        self.new_run = new_run
        self.resume = resume
        self.skipped_in_a_row = 0
        self.listeners: list[Listener] = []

    def train(self) -> None:
        """Runs all remaining steps.

        Raises:
            TrainingError: if the loss is not finite.
            TrainingInterrupted: on SIGINT or SIGTERM, after saving the state.
            WorkerLost: if another worker was lost.
            PicanetError: if weights or a checkpoint do not fit, or the disk is full.
        """
        experiment, strategy, cluster = self.experiment, self.strategy, self.cluster
        if self.resume and not self.run_directory.begun:
            path = self.run_directory.path
            logging.warning("%s has no checkpoint yet: starting at step 0", path)
            self.resume = False
        keras.utils.set_random_seed(experiment.seed)
        keras.config.set_dtype_policy(experiment.precision)
        if experiment.batch_size % strategy.num_replicas_in_sync:
            raise PicanetError(
                "`batch_size` is the images over all replicas and must be a multiple "
                f"of their number. Received: {experiment.batch_size} for "
                f"{strategy.num_replicas_in_sync} replicas"
            )
        facts = {"settings": experiment, "resume": self.resume}
        agree(strategy, cluster, **facts, data=self.batches.fingerprint)
        answer = "Stopping after this step; send the signal again to stop immediately"
        with StopRequest(answer) as stop:
            self._build(stop)
            first = self.checkpoints.restore() if self.resume else 0
            if self.resume:
                more = "" if first < experiment.steps else _FINISHED
                path = self.run_directory.path
                logging.info("Resuming %s after step %d%s", path, first, more)
            agree(strategy, cluster, step=first)
            if first < experiment.steps and not self.selection.exhausted:
                self._take_steps(first, stop)
            elif cluster.chief:  # The run was killed after its last checkpoint.
                self._save_model("model")

    def _build(self, stop: StopRequest) -> None:
        """Creates the network, its optimizer and, for a new run, the run directory."""
        run, experiment = self.run_directory, self.experiment
        with self.strategy.scope():
            self.model = initialization.build(self.task, experiment)
            if self.resume:
                pretrained = tuple(run.recorded()["pretrained_layers"])
            else:
                pretrained = initialization.load_initial_weights(
                    self.model, experiment, self.init_from
                )
            optimizer = initialization.make_optimizer(
                self.model, experiment, pretrained
            )
        if self.cluster.size == 1:  # Other workers would wait for one that stops.
            stop.obey()
        if self.cluster.chief and not self.resume:
            if self.new_run is not None:
                run = RunDirectory.create(experiment, **self.new_run)
                self.run_directory = run
                logging.info("Run directory %s", run.path)
            run.record(pretrained_layers=pretrained)
        self.checkpoints = Checkpoints(
            run.checkpoints,
            self.model,
            optimizer,
            early_stopping=experiment.patience > 0,
        )
        self.selection = Selection(self.checkpoints, experiment.patience)
        self.watch = ObjectWatch(experiment.steps, self.task.no_object_advice)
        self.step = TrainingStep(
            self.task, experiment, self.strategy, self.model, optimizer
        )
        self._infer = tf.function(lambda images: self.model(images, training=False))

    def _take_steps(self, first: int, stop: StopRequest) -> None:
        experiment, chief = self.experiment, self.cluster.chief
        read_validation = self.batches.validation
        batches = iter(
            distribute(
                self.strategy,
                experiment.batch_size,
                lambda share: self.batches.training(first, share=share).map(
                    self._encode_targets, num_parallel_calls=tf.data.AUTOTUNE
                ),
            )
        )
        if chief:
            read_panels = read_validation or (lambda: self.batches.training(0))
            panel_batch = next(iter(read_panels()))
            self.listeners = [
                ProgressBar(first, experiment.steps),
                Recorder(self.run_directory, first, experiment),
            ]
        try:
            for step in range(first + 1, experiment.steps + 1):
                stopped = self._take_step(step, next(batches), stop)
                last = step == experiment.steps
                validating = read_validation and (
                    last or step % experiment.validation_interval == 0
                )
                if validating and chief:
                    self._validate(step, read_validation())
                if validating and experiment.patience and not last:
                    last = self._stops_early(step)
                # Read only once: a signal after saving takes effect a step later. A
                # single worker need not wait until other workers know of it.
                stopped = stopped or self.cluster.size == 1 and stop.received
                saving = last or stopped or step % experiment.checkpoint_interval == 0
                if saving and chief:
                    self._save(step)
                    self._tell("on_panels", step, self._panels(*panel_batch))
                if stopped or last:  # No worker stops before the chief has saved.
                    agree(self.strategy, self.cluster, step=step)
                if stopped:
                    raise TrainingInterrupted(
                        step, experiment.steps, stop.signal, self.run_directory.path
                    )
                if last:
                    break
            self._tell("on_end")
        finally:
            self._tell("close")

    def _take_step(self, step, batch, stop: StopRequest) -> bool:
        """Runs a step; returns whether any worker was asked to stop before it."""
        skip = self.experiment.on_nonfinite == "skip"
        before = self.step.state() if skip else None
        try:
            result = self.step(batch, bool(stop.received))
        except NotFinite as error:
            keys = self.batches.keys(step - 1)
            if not skip:
                raise TrainingError(
                    f"The loss is not finite at step {step} ({error}), whose batch is "
                    f"{', '.join(map(repr, keys))}. {self._intact()} Lower "
                    "`learning_rate`, look for bad images with data_pipeline.verify, "
                    "or start a run with `on_nonfinite` skip"
                ) from error
            self.skipped_in_a_row += 1
            if self.skipped_in_a_row > SKIPS_IN_A_ROW:
                raise TrainingError(
                    f"{SKIPS_IN_A_ROW} batches before step {step} were not finite, so "
                    "the cause is not the data. Lower `learning_rate`"
                ) from error
            self.step.restore(before)
            logging.warning("Step %d skipped: %s not finite", step, error)
            self._tell("on_skip", step, error.names, keys)
            return error.stop
        self.skipped_in_a_row = 0
        self.watch.see(result.has_object)
        self._tell("on_step", step, result.logs)
        return result.stop

    def _intact(self) -> str:
        if self.run_directory.begun:
            return f"The last checkpoint, of step {self.checkpoints.step}, is intact."
        return "There is no checkpoint yet."

    def _tell(self, event: str, *arguments) -> None:
        for listener in self.listeners:
            getattr(listener, event)(*arguments)

    def _encode_targets(self, images, ground_truth):
        return images, self.task.encode_targets(
            ground_truth, self.model.output, self.model.image_size
        )

    def _validate(self, step, dataset) -> None:
        validation = self.task.validation(self.model.image_size)
        for images, ground_truth in dataset:
            outputs = self._outputs(images)
            if any(np.isnan(value).any() for value in outputs.values()):
                raise TrainingError(
                    f"The network's outputs are not numbers after step {step}. "
                    f"{self._intact()} Lower `learning_rate`"
                )
            validation.update(outputs, ground_truth.numpy())
        scores = validation.result()
        self._tell("on_validation", step, scores)
        if self.selection.improves(validation, scores):
            self._save_model("best")

    def _stops_early(self, step: int) -> bool:
        """Whether to stop after the validation of this step; all workers agree."""
        stops = any_worker(self.strategy, self.cluster, self.selection.exhausted)
        if stops and self.cluster.chief:
            logging.info(
                "Stopped early after step %d: no improvement in %d validations",
                step,
                self.experiment.patience,
            )
            self.run_directory.record(stopped_early=step)
        return stops

    def _save(self, step) -> None:
        self.checkpoints.save(step)
        self._save_model("model")

    def _save_model(self, name: str) -> None:
        with replacing(self.run_directory.path / f"{name}.keras") as temporary:
            self.model.save(temporary)

    def _panels(self, images, ground_truth) -> list[np.ndarray]:
        images, ground_truth = images[:PANELS], ground_truth[:PANELS].numpy()
        outputs = self._outputs(images)
        return [
            self.task.panel(
                image, ground_truth[i], {name: v[i] for name, v in outputs.items()}
            )
            for i, image in enumerate(images.numpy())
        ]

    def _outputs(self, images) -> dict[str, np.ndarray]:
        return {name: value.numpy() for name, value in self._infer(images).items()}
