"""Batch normalization whose moving averages are valid from the first step."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import ops

from picanet_tf.layers.precision import at_least_float32


@keras.saving.register_keras_serializable(package="picanet_tf")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` with bias-corrected moving averages.

    With a plain momentum m, the initial values 0 and 1 still have a share of m^t in the
    averages after t steps (55% after 60 steps at 0.99). Caffe divides the averages by
    the weight collected so far. The same average in running form is

        s_t = m s_{t-1} + 1,    average_t = average_{t-1} + (x_t - average_{t-1}) / s_t

    so the averages equal the batch statistics after the first step, and even after a
    short training a network predicts about as well with the averages as with the
    statistics of the batch.

    Args:
        momentum: m; the averages cover about the last 1 / (1 - m) steps.
        epsilon: added to the variance; 1e-5 everywhere in the network.
        synchronized: whether to compute the statistics over all replicas, so that two
            replicas train like one. Costs nothing on a single device.
        **kwargs: further arguments of `keras.layers.BatchNormalization`, except
            `renorm`.

    Input shape: any, channels last.
    Output shape: the input shape. Half-precision inputs get float32 statistics.

    Raises:
        ValueError: `renorm` is set.
    """

    def __init__(self, momentum=0.95, epsilon=1e-5, synchronized=True, **kwargs):
        super().__init__(
            momentum=momentum, epsilon=epsilon, synchronized=synchronized, **kwargs
        )
        if self.renorm:
            raise ValueError("`renorm` is not supported. Received: renorm=True")

    def build(self, input_shape):
        super().build(input_shape)
        self.collected_weight = self.add_weight(
            shape=(),
            name="collected_weight",
            initializer="zeros",
            trainable=False,
            autocast=False,
        )

    def call(self, inputs, training=None, mask=None):
        training = bool(training) and self.trainable
        if self._fits_fused_op(inputs, training, mask):
            return self._call_fused(inputs, training)
        if not training:
            return super().call(inputs, training=False)
        inputs = ops.cast(inputs, at_least_float32(inputs.dtype))
        mean, variance = self._moments(inputs, mask)
        self._update_averages(mean, variance)
        outputs = ops.batch_normalization(
            inputs,
            mean=mean,
            variance=variance,
            axis=self.axis,
            offset=None if self.beta is None else ops.cast(self.beta, inputs.dtype),
            scale=None if self.gamma is None else ops.cast(self.gamma, inputs.dtype),
            epsilon=self.epsilon,
        )
        return ops.cast(outputs, self.compute_dtype)

    def _fits_fused_op(self, inputs, training, mask) -> bool:
        return (
            mask is None
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.scale
            and self.center
            and inputs.dtype != "float64"
            and not (training and self.synchronized and _count_replicas() > 1)
        )

    def _call_fused(self, inputs, training):
        """Normalizes with TensorFlow's fused operation, which stores fewer tensors."""
        average = {} if training else {
            "mean": ops.cast(self.moving_mean, "float32"),
            "variance": ops.cast(self.moving_variance, "float32"),
        }  # fmt: skip
        # In bfloat16 the operation computes in float32 and reads and writes half the
        # memory. In float16 it is slower on CPUs than with casts.
        if inputs.dtype != "bfloat16":
            inputs = tf.cast(inputs, tf.float32)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            ops.cast(self.gamma, "float32"),
            ops.cast(self.beta, "float32"),
            epsilon=self.epsilon,
            is_training=training,
            **average,
        )
        if training:
            # The operation normalizes by the biased variance, as `call` does, but it
            # returns the unbiased one.
            count = tf.cast(tf.size(inputs) / tf.size(mean), tf.float32)
            self._update_averages(mean, variance * (count - 1) / count)
        return ops.cast(outputs, self.compute_dtype)

    def _update_averages(self, mean, variance):
        weight = self.momentum * ops.cast(self.collected_weight, mean.dtype) + 1.0
        self.collected_weight.assign(weight)
        for average, value in [
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ]:
            before = ops.cast(average, value.dtype)
            average.assign(before + (value - before) / weight)

    def _moments(self, inputs, mask):
        if mask is not None:
            return super()._moments(inputs, mask)
        if not self.synchronized or _count_replicas() == 1:
            return ops.moments(inputs, axes=self._reduction_axes)
        # Keras' synchronized moments compute E[x^2] - E[x]^2. In float32 that loses the
        # variance of a channel far from zero: 0.0 or 0.5 instead of 0.01 at a mean of
        # 1000. Two passes keep it, and since the second needs the result of the first,
        # all replicas run their collectives in the same order.
        sums = tf.reduce_sum(inputs, self._reduction_axes, keepdims=True)
        count = tf.cast(tf.size(inputs) / tf.size(sums), inputs.dtype)
        replica = tf.distribute.get_replica_context()
        sums, count = tf.unstack(
            replica.all_reduce(
                tf.distribute.ReduceOp.SUM, tf.stack([sums, count * tf.ones_like(sums)])
            )
        )
        mean = sums / count
        deviations = tf.reduce_sum(
            tf.square(inputs - mean), self._reduction_axes, keepdims=True
        )
        variance = replica.all_reduce(tf.distribute.ReduceOp.SUM, deviations) / count
        return tuple(tf.squeeze(x, self._reduction_axes) for x in (mean, variance))

    def get_config(self):
        config = super().get_config()
        # Options of renorm, a mode that this layer does not have.
        for name in ("renorm", "renorm_clipping", "renorm_momentum"):
            config.pop(name, None)
        return config


def _count_replicas() -> int:
    replica = tf.distribute.get_replica_context()
    return 1 if replica is None else replica.num_replicas_in_sync
