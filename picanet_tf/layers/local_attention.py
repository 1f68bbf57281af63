"""The attention logits of local attention pooling and attention convolution."""

from __future__ import annotations

import keras
from keras import ops

from picanet_tf.layers.arguments import check_odd, check_positive
from picanet_tf.layers.attention_ops import output_size
from picanet_tf.layers.dilated_convolution import DilatedConv2D
from picanet_tf.layers.initializers import gaussian
from picanet_tf.layers.normalization import BatchNormalization
from picanet_tf.layers.precision import at_least_float32


@keras.saving.register_keras_serializable(package="picanet_tf")
class LocalAttention(keras.layers.Layer):
    """Two convolutions that give each pixel one logit per window position.

    A K x K convolution over the window, ReLU, a 1x1 convolution to K*K channels and
    batch normalization. LAP applies a softmax to the logits, AC a sigmoid.

    Args:
        kernel_size: K, odd.
        dilation_rate: distance between neighbouring window positions.
        filters: channels between the two convolutions; 128 in the paper.
        strides: distance between the centres of neighbouring windows.

    Input shape: [N, H, W, C].
    Output shape: [N, ceil(H / strides), ceil(W / strides), K*K], float32 logits,
        or float64 under the policy float64.

    Raises:
        ValueError: an even `kernel_size`, or an argument below 1.

    Reference: Sec. 3.2; batch normalization from Sec. 3.4.
    """

    def __init__(
        self, kernel_size=7, dilation_rate=2, filters=128, strides=1, **kwargs
    ):
        super().__init__(**kwargs)
        self.kernel_size = check_odd(kernel_size=kernel_size)
        self.dilation_rate = check_positive(dilation_rate=dilation_rate)
        self.filters = check_positive(filters=filters)
        self.strides = check_positive(strides=strides)
        # Not a strided convolution: with "same" padding it would shift the windows'
        # centres on maps of even size, and Keras refuses strides with a dilation.
        # `call` subsamples the result instead.
        self.see = DilatedConv2D(
            filters,
            kernel_size,
            padding="same",
            dilation_rate=dilation_rate,
            activation="relu",
            kernel_initializer=gaussian(),
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name="see",
        )
        self.conv = keras.layers.Conv2D(
            kernel_size**2,
            1,
            data_format="channels_last",
            kernel_initializer=gaussian(),
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name="conv",
        )
        self.norm = BatchNormalization(
            dtype=self.dtype_policy, trainable=self.trainable, name="norm"
        )

    def build(self, input_shape):
        self.see.build(input_shape)
        self.conv.build((*input_shape[:-1], self.filters))
        self.norm.build((*input_shape[:-1], self.kernel_size**2))

    def call(self, inputs, training=None):
        hidden = self.see(inputs)
        if self.strides > 1:
            hidden = hidden[:, :: self.strides, :: self.strides]
        logits = self.norm(self.conv(hidden), training=training)
        return ops.cast(logits, at_least_float32(self.compute_dtype))

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        height = output_size(height, self.strides)
        width = output_size(width, self.strides)
        return (batch, height, width, self.kernel_size**2)

    def compute_output_spec(self, inputs, training=None):
        dtype = at_least_float32(self.compute_dtype)
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "dilation_rate": self.dilation_rate,
            "filters": self.filters,
            "strides": self.strides,
        }
