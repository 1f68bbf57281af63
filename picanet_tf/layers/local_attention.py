"""What LAP and AC share: each pixel's attention over the window around it."""

from __future__ import annotations

import keras
from keras import ops

from picanet_tf.layers.arguments import centred, positive
from picanet_tf.layers.dilated_convolution import DilatedConv2D
from picanet_tf.layers.initializers import gaussian
from picanet_tf.layers.normalization import BatchNormalization


@keras.saving.register_keras_serializable(package="picanet_tf")
class LocalAttention(keras.layers.Layer):
    """Two convolutions that give each pixel one logit a window position.

    A K x K convolution that sees the window, ReLU, a 1x1 convolution to K*K channels
    and batch normalization; LAP takes their softmax, AC their sigmoid.

    Args:
        kernel_size: K, odd.
        dilation_rate: distance of neighbouring window positions.
        filters: channels between the two convolutions; the paper's 128.
        strides: step of the window, for an attention convolution that strides.

    Input shape: [N, H, W, C].
    Output shape: [N, ceil(H / strides), ceil(W / strides), K*K], float32 logits.

    Raises:
        ValueError: an even `kernel_size`, or an argument below 1.

    Reference: Sec. 3.2; batch normalization by Sec. 3.4.
    """

    def __init__(
        self, kernel_size=7, dilation_rate=2, filters=128, strides=1, **kwargs
    ):
        super().__init__(**kwargs)
        self.kernel_size = centred(kernel_size)
        self.dilation_rate = positive(dilation_rate=dilation_rate)
        self.filters = positive(filters=filters)
        self.strides = positive(strides=strides)
        # "Same" padding of a strided convolution would move the window's centre on
        # maps of even size. A dilated convolution of stride 1, subsampled, does not,
        # and Keras refuses strides together with dilation.
        self.see = DilatedConv2D(
            filters,
            kernel_size,
            padding="same",
            dilation_rate=dilation_rate,
            activation="relu",
            kernel_initializer=gaussian(),
            dtype=self.dtype_policy,
            name="see",
        )
        self.conv = keras.layers.Conv2D(
            kernel_size**2,
            1,
            kernel_initializer=gaussian(),
            dtype=self.dtype_policy,
            name="conv",
        )
        self.norm = BatchNormalization(dtype=self.dtype_policy, name="norm")

    def build(self, input_shape):
        self.see.build(input_shape)
        seen = (*input_shape[:-1], self.filters)
        self.conv.build(seen)
        self.norm.build((*input_shape[:-1], self.kernel_size**2))

    def call(self, inputs, training=None):
        seen = self.see(inputs)
        if self.strides > 1:
            seen = seen[:, :: self.strides, :: self.strides]
        logits = self.norm(self.conv(seen), training=training)
        return ops.cast(logits, "float32")

    def compute_output_spec(self, inputs, training=None):
        height, width = (
            None if size is None else -(-size // self.strides)
            for size in inputs.shape[1:3]
        )
        shape = (inputs.shape[0], height, width, self.kernel_size**2)
        return keras.KerasTensor(shape, "float32")

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "dilation_rate": self.dilation_rate,
            "filters": self.filters,
            "strides": self.strides,
        }
