"""What the paper compares attention with: context taken in whole (Sec. 5.4).

`ReNet` itself and a large convolution (a `keras.layers.Conv2D`) are the other two
controls; `picanet_tf.context` makes them.
"""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import ops

from picanet_tf.layers.arguments import centred, one_of, positive

_MODES = ("average", "max")


@keras.saving.register_keras_serializable(package="picanet_tf")
class GlobalContextPooling(keras.layers.Layer):
    """The whole map pooled into one vector, spread back over the map.

    Args:
        mode: `"average"` or `"max"`.

    Input shape: [N, H, W, C].
    Output shape: [N, H, W, C], the same vector at every pixel.
    """

    def __init__(self, mode, **kwargs):
        super().__init__(**kwargs)
        self.mode = one_of(_MODES, mode=mode)

    def call(self, inputs):
        reduce = ops.mean if self.mode == "average" else ops.max
        pooled = reduce(inputs, axis=(1, 2), keepdims=True)
        return ops.broadcast_to(pooled, ops.shape(inputs))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}


@keras.saving.register_keras_serializable(package="picanet_tf")
class LocalContextPooling(keras.layers.Layer):
    """The dilated window around each pixel pooled.

    The average divides by K*K, borders included; the maximum passes over positions
    outside the map.

    Args:
        mode: `"average"` or `"max"`.
        kernel_size: K, odd.
        dilation_rate: distance of neighbouring window positions.

    Input shape: [N, H, W, C].
    Output shape: [N, H, W, C].
    """

    def __init__(self, mode, kernel_size=7, dilation_rate=2, **kwargs):
        super().__init__(**kwargs)
        self.mode = one_of(_MODES, mode=mode)
        self.kernel_size = centred(kernel_size)
        self.dilation_rate = positive(dilation_rate=dilation_rate)

    def call(self, inputs):
        # A window's mean and maximum are those of its rows', so one side at a time.
        outside = 0 if self.mode == "average" else inputs.dtype.min
        margin = self.dilation_rate * (self.kernel_size - 1) // 2
        paddings = [[0, 0], [margin, margin], [margin, margin], [0, 0]]
        outputs = tf.pad(inputs, paddings, constant_values=outside)
        for axis in (1, 2):
            outputs = self._pool_side(outputs, axis, tf.shape(inputs)[axis])
        return tf.ensure_shape(outputs, inputs.shape)

    def _pool_side(self, padded, axis, size):
        taps = []
        for position in range(self.kernel_size):
            start = position * self.dilation_rate
            lines = slice(start, start + size)
            taps.append(padded[:, lines] if axis == 1 else padded[:, :, lines])
        if self.mode == "average":
            return tf.add_n(taps) / self.kernel_size
        pooled = taps[0]
        for tap in taps[1:]:
            pooled = tf.maximum(pooled, tap)
        return pooled

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "mode": self.mode,
            "kernel_size": self.kernel_size,
            "dilation_rate": self.dilation_rate,
        }
