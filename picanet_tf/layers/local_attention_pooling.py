"""LAP: pool the window around each pixel by its attention (Sec. 3.2)."""

from __future__ import annotations

import keras
from keras import ops

from picanet_tf.layers import attending
from picanet_tf.layers.arguments import one_of, positive
from picanet_tf.layers.local_attention import LocalAttention


@keras.saving.register_keras_serializable(package="picanet_tf")
class LocalAttentionPooling(keras.layers.Layer):
    """Local attention pooling: the softmax-weighted mean of each pixel's window.

    Args:
        kernel_size: K, odd; the paper's 7.
        dilation_rate: distance of neighbouring window positions; the paper's 2, so
            that the window spans 13x13.
        attention_filters: channels of the layer that sees the window.
        return_attention: also return the attention.
        implementation: `"fused"` or `"patches"`, see `attending`.

    Input shape: [N, H, W, C].
    Output shape: [N, H, W, C]; with `return_attention` also the attention
        [N, H, W, K*K], float32, positions row-major, summing to 1. Positions outside
        the map take part in the softmax and count as zero features.

    Raises:
        ValueError: an even `kernel_size`, one of the first three below 1, or an unknown
            `implementation`.

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
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.dilation_rate = dilation_rate
        self.attention_filters = positive(attention_filters=attention_filters)
        self.return_attention = return_attention
        self.implementation = one_of(
            attending.IMPLEMENTATIONS, implementation=implementation
        )
        self.attention = LocalAttention(
            kernel_size,
            dilation_rate,
            attention_filters,
            dtype=self.dtype_policy,
            name="attention",
        )

    def build(self, input_shape):
        self.attention.build(input_shape)

    def call(self, inputs, training=None):
        attention = ops.softmax(self.attention(inputs, training=training), axis=-1)
        outputs = attending.local_attention_pool(
            inputs,
            ops.cast(attention, inputs.dtype),
            kernel_size=self.kernel_size,
            dilation_rate=self.dilation_rate,
            implementation=self.implementation,
        )
        return (outputs, attention) if self.return_attention else outputs

    def compute_output_spec(self, inputs, training=None):
        outputs = keras.KerasTensor(inputs.shape, self.compute_dtype)
        attention = keras.KerasTensor(
            (*inputs.shape[:-1], self.kernel_size**2), "float32"
        )
        return (outputs, attention) if self.return_attention else outputs

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "dilation_rate": self.dilation_rate,
            "attention_filters": self.attention_filters,
            "return_attention": self.return_attention,
            "implementation": self.implementation,
        }
