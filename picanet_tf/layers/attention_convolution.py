"""AC: a convolution whose every tap stands behind a gate (Sec. 3.3)."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import ops

from picanet_tf.layers import attending
from picanet_tf.layers.arguments import one_of, positive
from picanet_tf.layers.initializers import gaussian
from picanet_tf.layers.local_attention import LocalAttention


@keras.saving.register_keras_serializable(package="picanet_tf")
class AttentionConvolution(keras.layers.Layer):
    """Attention convolution: each pixel gates the positions of its own window.

    Args:
        filters: output channels.
        kernel_size: K, odd; the paper's 7.
        dilation_rate: distance of neighbouring window positions; the paper's 2.
        strides: step of the window over the map.
        attention_filters: channels of the layer that sees the window.
        return_attention: also return the gates.
        implementation: `"fused"` or `"patches"`, see `attending`.

    Input shape: [N, H, W, C].
    Output shape: [N, ceil(H / strides), ceil(W / strides), filters], no activation;
        with `return_attention` also the gates [..., K*K], float32 in 0..1, positions
        row-major.

    Raises:
        ValueError: an even `kernel_size`, one of the first five below 1, or an unknown
            `implementation`.

    Reference: Sec. 3.3, Eq. 4-5.
    """

    def __init__(
        self,
        filters,
        kernel_size=7,
        dilation_rate=2,
        strides=1,
        attention_filters=128,
        return_attention=False,
        implementation="fused",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = positive(filters=filters)
        self.kernel_size = kernel_size
        self.dilation_rate = dilation_rate
        self.strides = strides
        self.attention_filters = positive(attention_filters=attention_filters)
        self.return_attention = return_attention
        self.implementation = one_of(
            attending.IMPLEMENTATIONS, implementation=implementation
        )
        self.attention = LocalAttention(
            kernel_size,
            dilation_rate,
            attention_filters,
            strides,
            dtype=self.dtype_policy,
            name="attention",
        )

    def build(self, input_shape):
        self.attention.build(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, input_shape[-1], self.filters),
            initializer=gaussian(),
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.filters,), initializer="zeros"
        )

    def call(self, inputs, training=None):
        gates = ops.sigmoid(self.attention(inputs, training=training))
        outputs = attending.attention_conv(
            inputs,
            ops.cast(gates, inputs.dtype),
            ops.convert_to_tensor(self.kernel),
            ops.convert_to_tensor(self.bias),
            dilation_rate=self.dilation_rate,
            strides=self.strides,
            implementation=self.implementation,
        )
        # In a graph, a stride leaves the sides unknown, and GAP lays its grid by them.
        sides = [side and -(-side // self.strides) for side in inputs.shape[1:3]]
        outputs = tf.ensure_shape(outputs, [None, *sides, self.filters])
        return (outputs, gates) if self.return_attention else outputs

    def compute_output_spec(self, inputs, training=None):
        gates = self.attention.compute_output_spec(inputs)
        outputs = keras.KerasTensor(
            (*gates.shape[:-1], self.filters), self.compute_dtype
        )
        return (outputs, gates) if self.return_attention else outputs

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "dilation_rate": self.dilation_rate,
            "strides": self.strides,
            "attention_filters": self.attention_filters,
            "return_attention": self.return_attention,
            "implementation": self.implementation,
        }
