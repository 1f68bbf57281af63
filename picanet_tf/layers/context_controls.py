"""Context without attention, which the paper compares PiCANet with (Sec. 5.4).

The other two controls, `ReNet` and a large convolution (`keras.layers.Conv2D`), have
classes of their own; `picanet_tf.models.context_modules` constructs all of them.
"""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import ops

from picanet_tf.layers.arguments import check_choice, check_odd, check_positive
from picanet_tf.layers.precision import at_least_float32

_MODES = ("average", "max")


@keras.saving.register_keras_serializable(package="picanet_tf")
class GlobalContextPooling(keras.layers.Layer):
    """Pools the whole map into one vector and broadcasts it over the map.

    Args:
        mode: `"average"` or `"max"`.

    Input shape: [N, H, W, C].
    Output shape: [N, H, W, C], the same vector at every pixel.

    Raises:
        ValueError: an unknown `mode`.
    """

    def __init__(self, mode, **kwargs):
        super().__init__(**kwargs)
        self.mode = check_choice(_MODES, mode=mode)

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
    """Pools the dilated window around each pixel.

    The average divides by K*K at the borders too; the maximum ignores positions outside
    the map.

    Args:
        mode: `"average"` or `"max"`.
        kernel_size: K, odd.
        dilation_rate: distance between neighbouring window positions.

    Input shape: [N, H, W, C].
    Output shape: [N, H, W, C].

    Raises:
        ValueError: an unknown `mode`, an even `kernel_size`, or one of the last two
            arguments below 1.
    """

    def __init__(self, mode, kernel_size=7, dilation_rate=2, **kwargs):
        super().__init__(**kwargs)
        self.mode = check_choice(_MODES, mode=mode)
        self.kernel_size = check_odd(kernel_size=kernel_size)
        self.dilation_rate = check_positive(dilation_rate=dilation_rate)

    def call(self, inputs):
        # Both means and maxima are separable: pool along one axis, then the other.
        outside = 0 if self.mode == "average" else inputs.dtype.min
        margin = self.dilation_rate * (self.kernel_size - 1) // 2
        paddings = [[0, 0], [margin, margin], [margin, margin], [0, 0]]
        outputs = tf.pad(inputs, paddings, constant_values=outside)
        for axis in (1, 2):
            outputs = self._pool_axis(outputs, axis, tf.shape(inputs)[axis])
        return tf.ensure_shape(outputs, inputs.shape)

    def _pool_axis(self, padded, axis, size):
        taps = []
        for position in range(self.kernel_size):
            start = position * self.dilation_rate
            span = slice(start, start + size)
            taps.append(padded[:, span] if axis == 1 else padded[:, :, span])
        if self.mode == "average":
            # In bfloat16 the sum of many values would lose most of their digits.
            dtype = at_least_float32(self.compute_dtype)
            total = tf.add_n([tf.cast(tap, dtype) for tap in taps])
            return tf.cast(total / self.kernel_size, padded.dtype)
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
