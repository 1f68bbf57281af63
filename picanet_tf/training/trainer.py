"""The training loop, with logging, validation and checkpoints.

A custom loop instead of `Model.fit`: it can resume at any step, checks every loss, and
works the same on one device, on several, and on several machines.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf
from absl import logging

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.signals import StopRequest
from picanet_tf.models.base import dtype_policy
from picanet_tf.presets import Preset
from picanet_tf.tasks.registry import get_task
from picanet_tf.training import initialization
from picanet_tf.training.callbacks import Listener, ProgressBar, Recorder
from picanet_tf.training.cluster import ALONE, Cluster
from picanet_tf.training.data import Batches
from picanet_tf.training.errors import NotFinite, TrainingError, TrainingInterrupted
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.learner import Learner
from picanet_tf.training.phases import Phase, phase_of
from picanet_tf.training.run_directory import RunDirectory
from picanet_tf.training.selection import ObjectWatch
from picanet_tf.training.step import agree, any_worker, distribute
from picanet_tf.training.strategy import make_strategy

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
        path = self.run_directory.path
        if self.resume and not self.run_directory.begun:
            logging.warning("%s has no checkpoint yet: starting at step 0", path)
            self.resume = False
        if experiment.batch_size % strategy.num_replicas_in_sync:
            raise PicanetError(
                "`batch_size` is the images over all replicas and must be a multiple "
                f"of their number. Received: {experiment.batch_size} for "
                f"{strategy.num_replicas_in_sync} replicas"
            )
        facts = {"settings": experiment, "resume": self.resume}
        agree(strategy, cluster, **facts, data=self.batches.fingerprint)
        answer = "Stopping after this step; send the signal again to stop immediately"
        policy, seeded = experiment.precision, initialization.seeded(experiment.seed)
        with seeded, dtype_policy(policy), StopRequest(answer) as stop:
            self._build(stop)
            first = self.learner.checkpoints.restore() if self.resume else 0
            if self.resume:
                more = "" if first < experiment.steps else _FINISHED
                logging.info("Resuming %s after step %d%s", path, first, more)
            agree(strategy, cluster, step=first)
            if first < experiment.steps and not self.learner.selection.exhausted:
                self._take_steps(first, stop)
            else:  # The run was killed after its last checkpoint.
                size = phase_of(first, experiment.phases).image_size
                self.learner = self.learner.resized(size)
                if cluster.chief:
                    with self.learner.averaged():
                        self.learner.save(path / "model.keras")

    def _build(self, stop: StopRequest) -> None:
        """Creates the network, its optimizer and, for a new run, the run directory."""
        run, experiment = self.run_directory, self.experiment
        with self.strategy.scope():
            model = initialization.build_first_phase(self.task, experiment)
            if self.resume:
                pretrained = run.pretrained_layers
            else:
                pretrained = initialization.load_initial_weights(
                    model, experiment, self.init_from
                )
        if self.cluster.size == 1:  # Other workers would wait for one that stops.
            stop.obey()
        if self.cluster.chief and not self.resume:
            if self.new_run is not None:
                run = RunDirectory.create(experiment, **self.new_run)
                self.run_directory = run
                logging.info("Run directory %s", run.path)
            run.record(pretrained_layers=pretrained)
        self.watch = ObjectWatch(experiment.steps, self.task.no_object_advice)
        self.learner = Learner(
            self.task, experiment, self.strategy, model, pretrained, run.checkpoints
        )

    def _take_steps(self, first: int, stop: StopRequest) -> None:
        experiment, chief = self.experiment, self.cluster.chief
        if chief:
            self.listeners = [
                Recorder(self.run_directory, first, experiment),
                ProgressBar(first, experiment.steps),
            ]
        try:
            for step, batch in self._iterate_batches(first):
                stopped = self._take_step(step, batch, stop)
                last = step == experiment.steps
                validating = self.batches.validation and (
                    last or step % experiment.validation_interval == 0
                )
                if validating and chief:
                    self._validate(step)
                if validating and experiment.patience and not last:
                    last = self._stops_early(step)
                # Read only once: a signal after saving takes effect a step later. A
                # single worker need not wait until the others know of the signal.
                stopped = stopped or self.cluster.size == 1 and stop.received
                saving = last or stopped or step % experiment.checkpoint_interval == 0
                if last:  # Before the checkpoint, after which no step is repeated.
                    self._notify("on_end")
                if saving and chief:
                    self._save(step, panels=not stopped)
                if stopped or last:  # No worker stops before the chief has saved.
                    agree(self.strategy, self.cluster, step=step)
                if stopped:
                    raise TrainingInterrupted(
                        step, experiment.steps, stop.signal, self.run_directory.path
                    )
                if last:
                    break
        finally:
            self._notify("close")

    def _iterate_batches(self, first: int):
        """Yields (step, batch) of all steps after `first`, each phase at its size."""
        before = Phase(self.experiment.phases[0].image_size, 0)
        for phase in self.experiment.phases:
            if phase.last <= first:
                before = phase
                continue
            self.learner = self.learner.resized(phase.image_size)
            if first == before.last and phase.image_size != before.image_size:
                self.learner.selection.forget()
            if self.cluster.chief:
                data = self.batches
                read = data.validation or functools.partial(data.training, 0)
                self._panel_batch = next(iter(read(**self._size)))
            read = functools.partial(self._read_training, first)
            batches = iter(distribute(self.strategy, self.experiment.batch_size, read))
            for step in range(first + 1, phase.last + 1):
                yield step, next(batches)
            before, first = phase, phase.last

    def _read_training(self, first: int, share: tuple[int, int]) -> tf.data.Dataset:
        batches = self.batches.training(first, share=share, **self._size)
        model = self.learner.model

        def encode(images, truth):
            targets = self.task.encode_targets(truth, model.output, model.image_size)
            return images, targets

        return batches.map(encode, num_parallel_calls=tf.data.AUTOTUNE)

    @property
    def _size(self) -> dict[str, int]:
        """Argument of functions that read data, if their size changes."""
        several = len(self.experiment.phases) > 1
        return {"image_size": self.learner.model.image_size} if several else {}

    def _take_step(self, step, batch, stop: StopRequest) -> bool:
        """Runs a step; returns whether any worker was asked to stop before it."""
        skip = self.experiment.on_nonfinite == "skip"
        before = self.learner.step.state() if skip else None
        try:
            result = self.learner.step(batch, bool(stop.received))
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
            self.learner.step.restore(before)
            logging.warning("Step %d skipped: %s not finite", step, error)
            self._notify("on_skip", step, error.names, keys)
            return error.stop
        self.skipped_in_a_row = 0
        self.watch.see(result.has_object)
        self._notify("on_step", step, result.logs)
        return result.stop

    def _intact(self) -> str:
        if self.run_directory.begun:
            saved = self.learner.checkpoints.step if self.cluster.chief else 0
            step = saved or self.run_directory.last_step
            return f"The last checkpoint, of step {step}, is intact."
        return "There is no checkpoint yet."

    def _notify(self, event: str, *arguments) -> None:
        for listener in self.listeners:
            getattr(listener, event)(*arguments)

    def _validate(self, step: int) -> None:
        dataset = self.batches.validation(**self._size)
        with self.learner.averaged():
            try:
                validation = self.learner.validator.validate(dataset)
            except NotFinite as error:
                raise TrainingError(
                    f"The network's outputs are not numbers after step {step}. "
                    f"{self._intact()} Lower `learning_rate`"
                ) from error
            scores = validation.result()
            self._notify("on_validation", step, scores)
            if self.learner.selection.improves(validation, scores):
                self.learner.save(self.run_directory.path / "best.keras")

    def _stops_early(self, step: int) -> bool:
        """Whether to stop after the validation of this step; all workers agree."""
        stops = any_worker(
            self.strategy, self.cluster, self.learner.selection.exhausted
        )
        if stops and self.cluster.chief:
            logging.info(
                "Stopped early after step %d: no improvement in %d validations",
                step,
                self.experiment.patience,
            )
            self.run_directory.record(stopped_early=step)
        return stops

    def _save(self, step: int, panels: bool) -> None:
        self.learner.checkpoints.save(step)
        with self.learner.averaged():
            self.learner.save(self.run_directory.path / "model.keras")
            if panels:  # Omitted when stopping, since the first ones take a while.
                pictures = self.learner.validator.panels(*self._panel_batch)
                self._notify("on_panels", step, pictures)
