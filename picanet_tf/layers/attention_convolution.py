"""AC: attention convolution, a convolution with a gate on every tap (Sec. 3.3)."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import ops

from picanet_tf.layers import attention_ops
from picanet_tf.layers.arguments import check_positive
from picanet_tf.layers.attentive import AttentiveLayer
from picanet_tf.layers.initializers import gaussian
from picanet_tf.layers.local_attention import LocalAttention


@keras.saving.register_keras_serializable(package="picanet_tf")
class AttentionConvolution(AttentiveLayer):
    """Attention convolution: each pixel gates the positions of its own window.

    Args:
        filters: output channels.
        kernel_size: K, odd; 7 in the paper.
        dilation_rate: distance between neighbouring window positions; 2 in the paper.
        strides: distance between the centres of neighbouring windows.
        attention_filters: channels between the two convolutions of `LocalAttention`.
        return_attention: whether to return the gates as a second output.
        implementation: `"fused"` or `"patches"`, see `attention_ops`.

    Input shape: [N, H, W, C].
    Output shape: [N, ceil(H / strides), ceil(W / strides), filters], no activation;
        with `return_attention` also the gates [..., K*K], float32 in [0, 1], or
        float64 under the policy float64; window positions in row-major order.

    Raises:
        ValueError: an even `kernel_size`, one of the first five arguments below 1, or
            an unknown `implementation`.

    Example:
        >>> AttentionConvolution(256)(keras.ops.ones([1, 28, 28, 512])).shape
        TensorShape([1, 28, 28, 256])

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
        super().__init__(return_attention, implementation, **kwargs)
        self.filters = check_positive(filters=filters)
        self.kernel_size = kernel_size
        self.dilation_rate = dilation_rate
        self.strides = strides
        self.attention_filters = check_positive(attention_filters=attention_filters)
        self.attention = LocalAttention(
            kernel_size,
            dilation_rate,
            attention_filters,
            strides,
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name="attention",
        )

    def get_logits_layer(self):
        return self.attention

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

    def attend(self, inputs, training=None):
        gates = ops.sigmoid(self.attention(inputs, training=training))
        outputs = attention_ops.attention_conv(
            inputs,
            ops.cast(gates, inputs.dtype),
            ops.convert_to_tensor(self.kernel),
            ops.convert_to_tensor(self.bias),
            dilation_rate=self.dilation_rate,
            strides=self.strides,
            implementation=self.implementation,
        )
        # In a graph, strides lose the static height and width, which GAP needs.
        shape = self.compute_features_shape(inputs.shape)
        return tf.ensure_shape(outputs, [None, *shape[1:]]), gates

    def compute_features_shape(self, input_shape):
        batch, height, width, _ = input_shape
        height = attention_ops.output_size(height, self.strides)
        width = attention_ops.output_size(width, self.strides)
        return (batch, height, width, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "dilation_rate": self.dilation_rate,
            "strides": self.strides,
            "attention_filters": self.attention_filters,
        }
