"""LAP: local attention pooling, over the window around each pixel (Sec. 3.2)."""

from __future__ import annotations

import keras
from keras import ops

from picanet_tf.layers import attention_ops
from picanet_tf.layers.arguments import check_positive
from picanet_tf.layers.attentive import AttentiveLayer
from picanet_tf.layers.local_attention import LocalAttention


@keras.saving.register_keras_serializable(package="picanet_tf")
class LocalAttentionPooling(AttentiveLayer):
    """Local attention pooling: the softmax-weighted mean of each pixel's window.

    Args:
        kernel_size: K, odd; 7 in the paper.
        dilation_rate: distance between neighbouring window positions; 2 in the paper,
            so that the window spans 13x13 pixels.
        attention_filters: channels between the two convolutions of `LocalAttention`.
        return_attention: whether to return the attention as a second output.
        implementation: `"fused"` or `"patches"`, see `attention_ops`.

    Input shape: [N, H, W, C].
    Output shape: [N, H, W, C]; with `return_attention` also the attention
        [N, H, W, K*K], float32 or, under the policy float64, float64; window positions
        in row-major order, summing to 1. Positions outside the map take part in the
        softmax; their features are zero.

    Raises:
        ValueError: an even `kernel_size`, one of the first three arguments below 1, or
            an unknown `implementation`.

    Example:
        >>> LocalAttentionPooling()(keras.ops.ones([1, 28, 28, 512])).shape
        TensorShape([1, 28, 28, 512])

    Reference: Sec. 3.2, Eq. 3.
    """

    def __init__(
        self,
        kernel_size=7,
        dilation_rate=2,
        attention_filters=128,
        return_attention=False,
        implementation="fused",
        **kwargs,
    ):
        super().__init__(return_attention, implementation, **kwargs)
        self.kernel_size = kernel_size
        self.dilation_rate = dilation_rate
        self.attention_filters = check_positive(attention_filters=attention_filters)
        self.attention = LocalAttention(
            kernel_size,
            dilation_rate,
            attention_filters,
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name="attention",
        )

    def get_logits_layer(self):
        return self.attention

    def build(self, input_shape):
        self.attention.build(input_shape)

    def attend(self, inputs, training=None):
        attention = ops.softmax(self.attention(inputs, training=training), axis=-1)
        outputs = attention_ops.local_attention_pool(
            inputs,
            ops.cast(attention, inputs.dtype),
            kernel_size=self.kernel_size,
            dilation_rate=self.dilation_rate,
            implementation=self.implementation,
        )
        return outputs, attention

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "dilation_rate": self.dilation_rate,
            "attention_filters": self.attention_filters,
        }
