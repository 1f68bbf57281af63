"""GAP: global attention pooling, over a grid that spans the map (Sec. 3.1)."""

from __future__ import annotations

import dataclasses

import keras
from keras import ops

from picanet_tf.layers import attention_ops
from picanet_tf.layers.arguments import check_positive
from picanet_tf.layers.attentive import AttentiveLayer
from picanet_tf.layers.initializers import gaussian
from picanet_tf.layers.normalization import BatchNormalization
from picanet_tf.layers.precision import at_least_float32
from picanet_tf.layers.renet import LSTMOptions, ReNet


@keras.saving.register_keras_serializable(package="picanet_tf")
class GlobalAttentionPooling(AttentiveLayer):
    """Global attention pooling: the softmax-weighted mean of the map, at each pixel.

    ReNet, a 1x1 convolution to K*K channels, batch normalization and a softmax give
    each pixel its weights over a K x K grid of positions that is centred on the map.

    Args:
        kernel_size: K, grid positions along each side; 10 in the paper.
        dilation_rate: distance between neighbouring grid positions; 3 on a 28x28 map.
        units: hidden units of each ReNet direction.
        return_attention: whether to return the attention as a second output.
        implementation: `"fused"` or `"patches"`, see `attention_ops`.
        lstm_options: options of ReNet's LSTMs, see `ReNet`.

    Input shape: [N, H, W, C], H and W static.
    Output shape: [N, H, W, C]; with `return_attention` also the attention
        [N, H, W, K*K], float32 or, under the policy float64, float64; grid positions in
        row-major order, summing to 1.

    Raises:
        ValueError: one of the first three arguments below 1, a grid that does not fit
            the map, an unknown `implementation`, or invalid `lstm_options`.

    Example:
        >>> GlobalAttentionPooling()(keras.ops.ones([1, 28, 28, 1024])).shape
        TensorShape([1, 28, 28, 1024])

    Reference: Sec. 3.1, Eq. 1-2; batch normalization from Sec. 3.4.
    """

    def __init__(
        self,
        kernel_size=10,
        dilation_rate=3,
        units=256,
        return_attention=False,
        implementation="fused",
        lstm_options=None,
        **kwargs,
    ):
        super().__init__(return_attention, implementation, **kwargs)
        self.kernel_size = check_positive(kernel_size=kernel_size)
        self.dilation_rate = check_positive(dilation_rate=dilation_rate)
        self.units = check_positive(units=units)
        self.lstm_options = LSTMOptions.convert(lstm_options)
        self.renet = ReNet(
            units,
            self.lstm_options,
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name="renet",
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

    def get_logits_layer(self):
        return self

    def build(self, input_shape):
        for size in input_shape[1:3]:
            if size is None:
                raise ValueError(
                    "GlobalAttentionPooling needs a map of static height and width. "
                    f"Received: input_shape={input_shape}"
                )
            attention_ops.global_grid(size, self.kernel_size, self.dilation_rate)
        self.renet.build(input_shape)
        renet_shape = self.renet.compute_output_shape(input_shape)
        self.conv.build(renet_shape)
        self.norm.build(self.conv.compute_output_shape(renet_shape))

    def attend(self, inputs, training=None):
        logits = self.norm(self.conv(self.renet(inputs)), training=training)
        logits = ops.cast(logits, at_least_float32(self.compute_dtype))
        attention = ops.softmax(logits, axis=-1)
        outputs = attention_ops.global_attention_pool(
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
            "units": self.units,
            "lstm_options": dataclasses.asdict(self.lstm_options),
        }
