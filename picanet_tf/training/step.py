"""One training step, on one or many devices.

All replicas of all workers run the step together, with `strategy.run`; other modules do
not depend on how it is distributed.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from picanet_tf.core.errors import PicanetError
from picanet_tf.tasks.base import Task
from picanet_tf.training.averages import Averages
from picanet_tf.training.cluster import Cluster
from picanet_tf.training.errors import NotFinite, WorkerLost
from picanet_tf.training.experiments import Experiment


class StepResult(NamedTuple):
    """The result of a training step, the same on all workers.

    Attributes:
        logs: {"loss": total, name: loss of that output}, over the whole batch.
        stop: whether any worker was asked to stop.
        has_object: whether any image of the batch has an object.
    """

    logs: dict[str, float]
    stop: bool
    has_object: bool


class TrainingStep:
    """The training step as a function from a batch to its losses.

    Args:
        task: defines the losses.
        experiment: defines the loss weights and the clipping.
        strategy: the distribution strategy.
        model: model built under the strategy.
        optimizer: optimizer of its trainable variables, built under the strategy.
        averages: averages of the model's weights to update, or None.
    """

    def __init__(
        self,
        task: Task,
        experiment: Experiment,
        strategy: tf.distribute.Strategy,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        averages: Averages | None = None,
    ):
        self._task = task
        self._strategy = strategy
        self._model = model
        self._optimizer = optimizer
        self._averages = averages
        self._clip_norm = experiment.clip_norm
        self._losses = task.losses(model.output)
        self._loss_weights = task.loss_weights(
            model.output, experiment.attention_loss_weight
        )
        names = set(model.output)
        if set(self._losses) != names or set(self._loss_weights) != names:
            raise ValueError(
                f"Each of the outputs {sorted(names)} needs a loss and a loss weight. "
                f"Received: losses of {sorted(self._losses)}, loss weights of "
                f"{sorted(self._loss_weights)}"
            )
        self._names = ["loss", *self._losses, "gradients", "stop", "objects"]

    def __call__(self, batch, stop: bool = False) -> StepResult:
        """Runs the step.

        Args:
            batch: the next element of an iterator over `distribute`.
            stop: whether this worker was asked to stop.

        Raises:
            NotFinite: if a loss or gradient is not finite. The model's state is then
                invalid.
        """
        values = self._run(batch, tf.constant(float(stop))).numpy().tolist()
        logs = dict(zip(self._names, values, strict=True))
        stop, has_object = logs.pop("stop") > 0, logs.pop("objects") > 0
        wrong = [name for name, value in logs.items() if not math.isfinite(value)]
        if logs.pop("gradients") > 0:
            wrong.append("gradients")
        if wrong:
            raise NotFinite(wrong, stop)
        return StepResult(logs, stop, has_object)

    def state(self) -> list[tf.Tensor]:
        """Returns a copy of all variables that a step changes, for `restore`."""
        return [variable.read_value() for variable in self._variables()]

    def restore(self, state: list[tf.Tensor]) -> None:
        """Sets all variables to a `state` of this step, or of one with equal shapes."""
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)

    def _variables(self) -> list[tf.Variable]:
        variables = (*self._model.variables, *self._optimizer.variables)
        averages = self._averages.variables if self._averages else ()
        return [*(variable.value for variable in variables), *averages]

    @tf.function
    def _run(self, batch, stop):
        def replica_step(images, targets, stop):
            with tf.GradientTape() as tape:
                outputs = self._model(images, training=True)
                # Keras losses are already divided by the number of replicas, so their
                # sum over the replicas is the mean over the batch. The optimizer also
                # sums the replicas' gradients.
                shares = {
                    name: loss(targets[name], outputs[name])
                    for name, loss in self._losses.items()
                }
                total = tf.add_n(
                    [self._loss_weights[name] * share for name, share in shares.items()]
                )
                scaled = self._optimizer.scale_loss(total)
            variables = self._model.trainable_variables
            gradients = self._agree_on_overflow(tape.gradient(scaled, variables))
            clipped = self._clip(gradients) if self._clip_norm else gradients
            self._optimizer.apply_gradients(zip(clipped, variables, strict=True))
            objects = self._task.has_object(targets)
            infinite = self._infinite(gradients)
            values = [total, *shares.values(), infinite, stop, objects]
            return tf.stack([tf.cast(value, tf.float32) for value in values])

        # One vector, because every reduction between machines is a round trip.
        shares = self._strategy.run(replica_step, args=(*batch, stop))
        if self._averages:
            self._averages.update()
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, shares, axis=None)

    def _agree_on_overflow(self, gradients) -> list[tf.Tensor]:
        """Makes all replicas' gradients NaN if one replica's are not finite.

        With loss scaling, Keras then skips the step, but looks at one replica only.
        """
        replicas = self._strategy.num_replicas_in_sync
        if replicas == 1 or not self._scales_loss:
            return gradients
        overflow = 1.0 - tf.cast(_all_finite(gradients), tf.float32)
        context = tf.distribute.get_replica_context()
        overflow = context.all_reduce(tf.distribute.ReduceOp.SUM, overflow)
        return [
            g if g is None else tf.where(overflow > 0, tf.cast(math.nan, g.dtype), g)
            for g in gradients
        ]

    def _clip(self, gradients) -> list[tf.Tensor]:
        """Scales the gradients so that the norm of their sum is at most `clip_norm`.

        The norm is that of all gradients together, summed over the replicas.
        """
        sums = [gradient for gradient in gradients if gradient is not None]
        largest = self._clip_norm
        if self._strategy.num_replicas_in_sync > 1:
            context = tf.distribute.get_replica_context()
            sums = context.all_reduce(tf.distribute.ReduceOp.SUM, sums)
        if self._scales_loss:
            largest = largest * self._optimizer.dynamic_scale.value
        factor = tf.minimum(1.0, largest / (tf.linalg.global_norm(sums) + 1e-12))
        return [g if g is None else g * factor for g in gradients]

    def _infinite(self, gradients) -> tf.Tensor:
        """Returns 1 if a gradient is not finite, unless loss scaling handles it."""
        if self._scales_loss:
            return tf.constant(0.0)
        return 1.0 - tf.cast(_all_finite(gradients), tf.float32)

    @property
    def _scales_loss(self) -> bool:
        return isinstance(self._optimizer, keras.optimizers.LossScaleOptimizer)


def _all_finite(gradients) -> tf.Tensor:
    finite = [tf.reduce_all(tf.math.is_finite(g)) for g in gradients if g is not None]
    return tf.reduce_all(finite)


def distribute(
    strategy: tf.distribute.Strategy,
    batch_size: int,
    read: Callable[[tuple[int, int]], tf.data.Dataset],
):
    """Distributes the batches over the replicas.

    Args:
        strategy: the distribution strategy.
        batch_size: number of images over all replicas of all workers.
        read: (worker, number of workers) -> batches with that worker's share.
    """

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        workers = context.num_input_pipelines
        dataset = read((context.input_pipeline_id, workers))
        size = batch_size // strategy.num_replicas_in_sync
        if size * workers != batch_size:
            dataset = dataset.rebatch(size)
        # Not AUTOTUNE, whose buffer doubles with every pause without a limit.
        return dataset.prefetch(2)

    return strategy.distribute_datasets_from_function(of_worker)


def agree(strategy: tf.distribute.Strategy, cluster: Cluster, **facts) -> None:
    """Waits for all workers and checks that they were started with the same facts.

    Raises:
        PicanetError: if a fact differs; the message names it.
    """
    if cluster.size == 1:
        return
    digests = [
        int.from_bytes(hashlib.sha256(str(fact).encode()).digest()[:7], "big")
        for fact in facts.values()
    ]
    rows = _gather(strategy, digests)
    different = [
        name for name, values in zip(facts, rows.T, strict=True) if len(set(values)) > 1
    ]
    if different:
        mine = "; ".join(f"{name} is {facts[name]} here" for name in different)
        raise PicanetError(
            f"The workers differ in: {', '.join(different)}. Start all with the same "
            f"command, data and run directory ({mine})"
        )


def any_worker(strategy: tf.distribute.Strategy, cluster: Cluster, flag: bool) -> bool:
    """Returns whether `flag` is set on any worker; waits for all workers."""
    return flag if cluster.size == 1 else bool(_gather(strategy, [int(flag)]).any())


def _gather(strategy: tf.distribute.Strategy, row: list[int]) -> np.ndarray:
    """Returns the rows of all replicas of all workers, int64 [replicas, n]."""
    ours = strategy.run(lambda: tf.constant([row], tf.int64))
    return strategy.gather(ours, axis=0).numpy()


@contextlib.contextmanager
def translate_worker_errors(cluster: Cluster):
    """Context manager that converts TensorFlow's errors for lost workers.

    Raises:
        WorkerLost: instead of these errors, if there are several workers.
    """
    try:
        yield
    except (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
        tf.errors.InternalError,
        tf.errors.FailedPreconditionError,
    ) as error:
        if cluster.size == 1:
            raise
        raise WorkerLost(
            f"Another worker was lost ({type(error).__name__}). The last checkpoint is "
            "intact: restart all workers with `resume`"
        ) from error
