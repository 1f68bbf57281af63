"""Batch normalization whose moving averages hold from the first steps."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable(package="picanet_tf")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` with bias-corrected moving averages.

    Plain momentum m still holds m^t of the initial 0 / 1 after t steps (55% after 60
    steps at 0.99). Caffe divides by the weight collected so far; the same average in
    running form is

        s_t = m s_{t-1} + 1,    average_t = average_{t-1} + (x_t - average_{t-1}) / s_t

    so that the first step takes the batch statistics whole, and a short run predicts
    about as well in inference mode as with the statistics of its batch.

    Args:
        momentum: m; the averages remember about 1 / (1 - m) steps.
        epsilon: added to the variance; 1e-5 everywhere in the network.
        synchronized: take the statistics over all replicas, so that two replicas
            train as one. Costs nothing on one device.
        **kwargs: of `keras.layers.BatchNormalization`; no `renorm`.

    Input shape: any, channels last.
    Output shape: the input's; float32 inside whatever the dtype policy.
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
            return self._fused(inputs, training)
        if not training:
            return super().call(inputs, training=False)
        inputs = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        mean, variance = self._moments(inputs, mask)
        self._update_averages(mean, variance)
        outputs = ops.batch_normalization(
            inputs,
            mean=mean,
            variance=variance,
            axis=self.axis,
            offset=self.beta,
            scale=self.gamma,
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
            and not (training and self.synchronized and _replicas() > 1)
        )

    def _fused(self, inputs, training):
        """The same by TensorFlow's own operation, which keeps fewer tensors."""
        average = {} if training else {
            "mean": ops.convert_to_tensor(self.moving_mean),
            "variance": ops.convert_to_tensor(self.moving_variance),
        }  # fmt: skip
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            tf.cast(inputs, tf.float32),
            ops.convert_to_tensor(self.gamma),
            ops.convert_to_tensor(self.beta),
            epsilon=self.epsilon,
            is_training=training,
            **average,
        )
        if training:
            # It gives the unbiased variance; normalises, as we do, by the biased one.
            count = tf.cast(tf.size(inputs) / tf.size(mean), tf.float32)
            self._update_averages(mean, variance * (count - 1) / count)
        return ops.cast(outputs, self.compute_dtype)

    def _update_averages(self, mean, variance):
        weight = self.momentum * self.collected_weight + 1.0
        self.collected_weight.assign(weight)
        for average, value in [
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ]:
            average.assign(average + (value - average) / weight)

    def _moments(self, inputs, mask):
        if mask is not None:
            return super()._moments(inputs, mask)
        if not self.synchronized or _replicas() == 1:
            return ops.moments(inputs, axes=self._reduction_axes)
        # Keras' synchronized moments take E[x^2] - E[x]^2. In float32 that loses the
        # variance of a channel far from zero: 0.0 or 0.5 instead of 0.01 at a mean of
        # 1000. In two steps it holds, and replicas cannot swap their collectives.
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
        # The base class writes options of a mode that this layer does not have.
        for name in ("renorm", "renorm_clipping", "renorm_momentum"):
            config.pop(name, None)
        return config


def _replicas() -> int:
    replica = tf.distribute.get_replica_context()
    return 1 if replica is None else replica.num_replicas_in_sync
