"""The training loop: steps, and between them what is shown, scored and saved.

It takes its steps one by one instead of calling `Model.fit`: it resumes at any step,
watches every loss, and is the same on one device, on several, and on many machines.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from picanet_tf.core.files import replacing
from picanet_tf.errors import PicanetError
from picanet_tf.presets import Preset
from picanet_tf.tasks import TASKS
from picanet_tf.training import start
from picanet_tf.training.callbacks import Listener, ProgressBar, Recorder
from picanet_tf.training.checkpoints import Checkpoints
from picanet_tf.training.cluster import ALONE, Cluster
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.run_directory import RunDirectory
from picanet_tf.training.signals import StopRequest, TrainingInterrupted
from picanet_tf.training.step import NotFinite, TrainingStep, agree, distributed
from picanet_tf.training.strategy import make_strategy

PANELS = 4  # images of the TensorBoard panel
SKIPS_IN_A_ROW = 20  # that `--on_nonfinite skip` puts up with


class TrainingError(PicanetError):
    """Training cannot go on; the last checkpoint is intact."""


def train(
    experiment: Experiment,
    run: RunDirectory,
    *,
    make_run: Callable[[], object] | None = None,
    read_training: Callable[..., tf.data.Dataset],
    read_validation: Callable[[], tf.data.Dataset] | None = None,
    read_keys: Callable[[int], list[str]] | None = None,
    init_from: Path | Preset | None = None,
    resume: bool = False,
    strategy: tf.distribute.Strategy | None = None,
    cluster: Cluster = ALONE,
    fingerprint: str = "",
) -> None:
    """Trains, and leaves everything in the run directory.

    Args:
        experiment: what to train, and how.
        run: where to.
        make_run: makes that directory, unless it is there: called by the chief once it
            is known that the training can start, so that a mistake leaves none.
        read_training: (start step, share=(worker, workers)) -> endless batches (image
            float32 [N, S, S, 3] RGB 0..255, ground truth), those that an uninterrupted
            run reads from that step on; of the `experiment.batch_size` images of each
            step the worker's share, `batch_size / workers`.
        read_validation: -> the validation set's batches, each image once, or None.
        read_keys: step (from 0) -> the names of the records in that step's batch.
        init_from: a `.keras` file or a preset, whose weights to start from, in place of
            `experiment.backbone_weights`.
        resume: go on from the run's last checkpoint, or from step 0 when the run
            was killed before its first.
        strategy: of `make_strategy`, which is called when there is none.
        cluster: which worker this is; the chief alone writes.
        fingerprint: of the data, which all workers must agree on.

    Raises:
        TrainingError: the loss is not finite.
        TrainingInterrupted: SIGINT or SIGTERM came; the state is saved.
        WorkerLost: another worker is gone.
        PicanetError: weights or a checkpoint that do not fit, or a full disk.
    """
    if resume and not run.begun:
        logging.warning("%s has no checkpoint yet: starting at step 0", run.path)
        resume = False
    task = TASKS[experiment.task]
    strategy = strategy or make_strategy(experiment.replicas, cluster)
    keras.utils.set_random_seed(experiment.seed)
    keras.config.set_dtype_policy(experiment.precision)
    if experiment.batch_size % strategy.num_replicas_in_sync:
        raise PicanetError(
            "--batch_size is the images over all replicas and must be a multiple of "
            f"their number. Received: {experiment.batch_size} for "
            f"{strategy.num_replicas_in_sync} replicas"
        )
    agree(strategy, cluster, settings=experiment, resume=resume, data=fingerprint)
    with StopRequest("Stopping after a step; another signal stops at once") as stop:
        with strategy.scope():
            model = start.build(task, experiment)
            if resume:
                pretrained = tuple(run.recorded()["pretrained_layers"])
            else:
                pretrained = start.fill(model, experiment, init_from)
            optimizer = start.make_optimizer(model, experiment, pretrained)
        if cluster.size == 1:  # Others would wait for one that leaves.
            stop.obey()
        if cluster.chief and not resume:
            if make_run:
                make_run()
            run.record(pretrained_layers=pretrained)
        checkpoints = Checkpoints(run.checkpoints, model, optimizer)
        first = checkpoints.restore() if resume else 0
        if resume:
            logging.info("Resuming %s after step %d", run.path, first)
        agree(strategy, cluster, step=first)
        _Loop(
            experiment, run, cluster, strategy, model, optimizer, checkpoints, read_keys
        ).run(first, read_training, read_validation, stop)


class _Loop:
    def __init__(
        self,
        experiment,
        run,
        cluster,
        strategy,
        model,
        optimizer,
        checkpoints,
        read_keys,
    ) -> None:
        self.task = TASKS[experiment.task]
        self.experiment = experiment
        self.run_directory = run
        self.cluster = cluster
        self.strategy = strategy
        self.model = model
        self.step = TrainingStep(self.task, experiment, strategy, model, optimizer)
        self.checkpoints = checkpoints
        self.read_keys = read_keys
        self.skipped_in_a_row = 0
        self.listeners: list[Listener] = []
        self._infer = tf.function(lambda images: model(images, training=False))

    def run(self, first, read_training, read_validation, stop: StopRequest) -> None:
        experiment = self.experiment
        if first >= experiment.steps:  # killed after the last checkpoint
            if self.cluster.chief:
                self._save_model(self.run_directory.path / "model.keras")
            return
        batches = iter(
            distributed(
                self.strategy,
                experiment.batch_size,
                lambda share: read_training(first, share=share).map(
                    self._with_targets, num_parallel_calls=tf.data.AUTOTUNE
                ),
            )
        )
        if self.cluster.chief:
            panel_batch = next(iter((read_validation or (lambda: read_training(0)))()))
            self.listeners = [
                ProgressBar(first, experiment.steps),
                Recorder(self.run_directory, first, experiment),
            ]
        try:
            for step in range(first + 1, experiment.steps + 1):
                stopped = self._take(step, next(batches), stop)
                last = step == experiment.steps
                validating = read_validation and (
                    last or step % experiment.validation_interval == 0
                )
                if validating and self.cluster.chief:
                    self._validate(step, read_validation())
                # Asked once: a signal that comes after the saving waits a step.
                # One worker alone need not wait for the others to hear of it.
                stopped = stopped or self.cluster.size == 1 and stop.received
                saving = last or stopped or step % experiment.checkpoint_interval == 0
                if saving and self.cluster.chief:
                    self._save(step)
                    self._tell("on_panels", step, self._panels(*panel_batch))
                if stopped or last:  # Nobody leaves before the chief has saved.
                    agree(self.strategy, self.cluster, step=step)
                if stopped:
                    raise TrainingInterrupted(step, stop.signal)
            self._tell("on_end")
        finally:
            self._tell("close")

    def _take(self, step, batch, stop: StopRequest) -> bool:
        """Takes a step; returns whether a worker was asked to stop before it."""
        skip = self.experiment.on_nonfinite == "skip"
        before = self.step.state() if skip else None
        try:
            logs, stopped = self.step(batch, bool(stop.received))
        except NotFinite as error:
            keys = self.read_keys(step - 1) if self.read_keys else ["unknown"]
            if not skip:
                raise TrainingError(
                    f"The loss is not finite at step {step} ({error}), whose batch is "
                    f"{', '.join(map(repr, keys))}. {self._intact()} Lower "
                    "--learning_rate, look "
                    "for bad images with data_pipeline.verify, or start a run with "
                    "--on_nonfinite skip"
                ) from error
            self.skipped_in_a_row += 1
            if self.skipped_in_a_row > SKIPS_IN_A_ROW:
                raise TrainingError(
                    f"{SKIPS_IN_A_ROW} batches before step {step} were not finite: it "
                    "is not the data. Lower --learning_rate"
                ) from error
            self.step.restore(before)
            logging.warning("Step %d skipped: %s not finite", step, error)
            self._tell("on_skip", step, error.names, keys)
            return error.stop
        self.skipped_in_a_row = 0
        self._tell("on_step", step, logs)
        return stopped

    def _intact(self) -> str:
        if self.run_directory.begun:
            return f"The last checkpoint, of step {self.checkpoints.step}, is intact."
        return "There is no checkpoint yet."

    def _tell(self, event: str, *arguments) -> None:
        for listener in self.listeners:
            getattr(listener, event)(*arguments)

    def _with_targets(self, images, ground_truth):
        return images, self.task.encode_targets(
            ground_truth, self.model.output, self.model.input.shape[1]
        )

    def _validate(self, step, dataset) -> None:
        validation = self.task.validation(self.model.input.shape[1])
        for images, ground_truth in dataset:
            validation.update(self._outputs(images), ground_truth.numpy())
        scores = validation.result()
        self._tell("on_validation", step, scores)
        score = scores[self.task.validation.best]
        if self.checkpoints.best is None or score > self.checkpoints.best:
            self.checkpoints.best = score
            self._save_model(self.run_directory.path / "best.keras")

    def _save(self, step) -> None:
        self.checkpoints.save(step)
        self._save_model(self.run_directory.path / "model.keras")

    def _save_model(self, path) -> None:
        with replacing(path) as temporary:
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
