"""The training loop. How steps are run, on one device or many, is this file's secret.

The loop calls `strategy.run` itself instead of `Model.fit`: it resumes at any step,
watches every loss, and is the same on one device and on several.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from picanet_tf.backbones.vgg16_weights import (
    CONV_LAYERS,
    FC_LAYERS,
    load_vgg16_weights,
)
from picanet_tf.errors import PicanetError
from picanet_tf.tasks import TASKS, Task
from picanet_tf.training import optimizer as optimizers
from picanet_tf.training.callbacks import ProgressBar, Recorder
from picanet_tf.training.checkpoints import Checkpoints
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.run_directory import RunDirectory, replacing
from picanet_tf.training.signals import StopRequest, TrainingInterrupted
from picanet_tf.training.strategy import make_strategy
from picanet_tf.weights import copy_weights, load_keras

ENCODER_LAYERS = (*CONV_LAYERS, *FC_LAYERS)
PANELS = 4  # images of the TensorBoard panel


class TrainingError(PicanetError):
    """Training cannot go on; the last checkpoint is intact."""


def train(
    experiment: Experiment,
    run: RunDirectory,
    *,
    read_training: Callable[[int], tf.data.Dataset],
    read_validation: Callable[[], tf.data.Dataset] | None = None,
    init_from: Path | None = None,
    resume: bool = False,
) -> None:
    """Trains, and leaves everything in the run directory.

    Args:
        experiment: what to train, and how.
        run: where to, already made.
        read_training: start step -> endless batches (image float32 [N, S, S, 3] RGB
            0..255, ground truth) of `experiment.batch_size`, those that an
            uninterrupted run reads from that step on.
        read_validation: -> the validation set's batches, each image once, or None.
        init_from: a `.keras` file whose weights to start from, in place of
            `experiment.backbone_weights`.
        resume: go on from the run's last checkpoint, or from step 0 when the run
            was killed before its first.

    Raises:
        TrainingError: the loss is not finite.
        TrainingInterrupted: SIGINT or SIGTERM came; the state is saved.
        PicanetError: weights or a checkpoint that do not fit.
    """
    if resume and not run.begun:
        logging.warning("%s has no checkpoint yet: starting at step 0", run.path)
        resume = False
    task = TASKS[experiment.task]
    strategy = make_strategy(experiment.replicas)
    keras.utils.set_random_seed(experiment.seed)
    keras.config.set_dtype_policy(experiment.precision)
    if experiment.batch_size % strategy.num_replicas_in_sync:
        raise PicanetError(
            "--batch_size is the images over all replicas and must be a multiple of "
            f"their number. Received: {experiment.batch_size} for "
            f"{strategy.num_replicas_in_sync} replicas"
        )
    with strategy.scope():
        model = _build(task, experiment)
        pretrained = _start_weights(model, experiment, run, init_from, resume)
        optimizer = _make_optimizer(model, experiment, pretrained)
    checkpoints = Checkpoints(run.checkpoints, model, optimizer)
    start = checkpoints.restore() if resume else 0
    if resume:
        logging.info("Resuming %s after step %d", run.path, start)
    _Loop(task, experiment, run, strategy, model, optimizer, checkpoints).run(
        start, read_training, read_validation
    )


def _build(task: Task, experiment: Experiment) -> keras.Model:
    try:
        return task.build_model(
            experiment.variant,
            experiment.image_size,
            width=experiment.width,
            implementation=experiment.implementation,
            dropout=experiment.dropout,
            seed=experiment.seed,
        )
    except PicanetError:
        raise
    except ValueError as error:
        raise PicanetError(str(error)) from error


def _start_weights(model, experiment, run, init_from, resume) -> tuple[str, ...]:
    """Fills the model; returns the names of the encoder layers that are pretrained."""
    if resume:
        return tuple(run.recorded()["pretrained_layers"])
    if init_from is None:
        pretrained = load_vgg16_weights(model, experiment.backbone_weights).filled
    else:
        source = load_keras(init_from)
        transfer = copy_weights(source, model, partial=True)
        logging.info("Weights from %s: %s", init_from, transfer)
        taken = {path.split("/")[0] for path in transfer.taken}
        pretrained = tuple(name for name in ENCODER_LAYERS if name in taken)
    run.record(pretrained_layers=pretrained)
    return pretrained


def _make_optimizer(model, experiment, pretrained):
    if experiment.freeze_encoder:
        for name in ENCODER_LAYERS:
            model.get_layer(name).trainable = False
        pretrained = ()
    groups = optimizers.groups(
        pretrained, experiment.encoder_rate_ratio, experiment.weight_decay
    )
    variables = model.trainable_variables
    optimizer = optimizers.make_optimizer(
        optimizers.assign([variable.path for variable in variables], groups),
        learning_rate=experiment.learning_rate,
        boundaries=experiment.boundaries,
        momentum=experiment.momentum,
    )
    if experiment.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(variables)
    return optimizer


class _Loop:
    def __init__(
        self, task, experiment, run, strategy, model, optimizer, checkpoints
    ) -> None:
        self.task = task
        self.experiment = experiment
        self.run_directory = run
        self.strategy = strategy
        self.model = model
        self.optimizer = optimizer
        self.checkpoints = checkpoints
        self.losses = task.losses(model.output)
        self.loss_weights = task.loss_weights(
            model.output, experiment.attention_loss_weight
        )
        names = set(model.output)
        if set(self.losses) != names or set(self.loss_weights) != names:
            raise ValueError(f"Every output needs a loss and a weight: {names}")
        self._infer = tf.function(lambda images: model(images, training=False))

    def run(self, start, read_training, read_validation) -> None:
        experiment = self.experiment
        if start >= experiment.steps:  # killed after the last checkpoint
            self._save_model(self.run_directory.path / "model.keras")
            return
        dataset = read_training(start).map(
            self._with_targets, num_parallel_calls=tf.data.AUTOTUNE
        )
        # Not AUTOTUNE: its buffer doubles with every pause, without end.
        dataset = dataset.prefetch(2)
        batches = iter(self.strategy.experimental_distribute_dataset(dataset))
        panel_batch = next(iter((read_validation or (lambda: read_training(0)))()))
        recorder = Recorder(self.run_directory, start, experiment.log_interval)
        bar = ProgressBar(start, experiment.steps)
        try:
            with StopRequest() as stop:
                for step in range(start + 1, experiment.steps + 1):
                    logs = self._checked(step, self._train_step(next(batches)))
                    bar.on_step(step, logs)
                    recorder.on_step(step, logs)
                    last = step == experiment.steps
                    if read_validation and (
                        last or step % experiment.validation_interval == 0
                    ):
                        scores = self._validate(read_validation())
                        bar.on_validation(step, scores)
                        recorder.on_validation(step, scores)
                        self._keep_best(scores)
                    # Asked once: a signal that comes after the saving waits a step.
                    stopped_by = stop.received
                    if last or stopped_by or step % experiment.checkpoint_interval == 0:
                        self._save(step)
                        recorder.on_panels(step, self._panels(*panel_batch))
                    if stopped_by:
                        raise TrainingInterrupted(step, stopped_by)
        finally:
            bar.close()
            recorder.close()

    def _with_targets(self, images, ground_truth):
        return images, self.task.encode_targets(ground_truth, self.model.output)

    @tf.function
    def _train_step(self, batch):
        def replica_step(images, targets):
            with tf.GradientTape() as tape:
                outputs = self.model(images, training=True)
                # A Keras loss is the replica's share of the mean over the batch: it
                # divides by the number of replicas itself. So the shares sum up to
                # the loss, as the optimizer sums the replicas' gradients.
                shares = {
                    name: loss(targets[name], outputs[name])
                    for name, loss in self.losses.items()
                }
                total = tf.add_n(
                    [self.loss_weights[name] * share for name, share in shares.items()]
                )
                scaled = self.optimizer.scale_loss(total)
            variables = self.model.trainable_variables
            gradients = tape.gradient(scaled, variables)
            self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
            return {"loss": total, **shares}

        shares = self.strategy.run(replica_step, args=batch)
        return {
            name: self.strategy.reduce(tf.distribute.ReduceOp.SUM, share, axis=None)
            for name, share in shares.items()
        }

    def _checked(self, step, logs) -> dict[str, float]:
        logs = {name: float(value) for name, value in logs.items()}
        wrong = [name for name, value in logs.items() if not math.isfinite(value)]
        if wrong:
            raise TrainingError(
                f"The loss is not finite at step {step} ({', '.join(wrong)}). The last "
                f"checkpoint, of step {self.checkpoints.step}, is intact. Lower "
                "--learning_rate, or look for bad images with data_pipeline.verify"
            )
        return logs

    def _validate(self, dataset) -> dict[str, float]:
        validation = self.task.validation()
        for images, ground_truth in dataset:
            validation.update(self._outputs(images), ground_truth.numpy())
        return validation.result()

    def _keep_best(self, scores) -> None:
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
