"""GAP: pool a global grid of positions by attention of each pixel (Sec. 3.1)."""

from __future__ import annotations

import keras
from keras import ops

from picanet_tf.layers import attending
from picanet_tf.layers.arguments import one_of, positive
from picanet_tf.layers.initializers import gaussian
from picanet_tf.layers.normalization import BatchNormalization
from picanet_tf.layers.renet import ReNet


@keras.saving.register_keras_serializable(package="picanet_tf")
class GlobalAttentionPooling(keras.layers.Layer):
    """Global attention pooling: at each pixel the softmax-weighted mean of the map.

    ReNet, then a 1x1 convolution to K*K channels, batch normalization and softmax
    give each pixel its weights over a K x K grid that is centred on the map.

    Args:
        kernel_size: K, positions of the grid along each side; the paper's 10.
        dilation_rate: distance of neighbouring grid positions; 3 at 28x28.
        units: hidden units of each ReNet direction.
        return_attention: also return the attention.
        implementation: `"fused"` or `"patches"`, see `attending`.
        use_cudnn, unroll: see `ReNet`.

    Input shape: [N, H, W, C]; H and W static.
    Output shape: [N, H, W, C]; with `return_attention` also the attention
        [N, H, W, K*K], float32, positions row-major, summing to 1.

    Raises:
        ValueError: one of the first three below 1, a grid that does not fit the map, or
            an unknown `implementation`.

    Reference: Sec. 3.1, Eq. 1-2; batch normalization by Sec. 3.4.
    """

    def __init__(
        self,
        kernel_size=10,
        dilation_rate=3,
        units=256,
        return_attention=False,
        implementation="fused",
        use_cudnn="auto",
        unroll=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.kernel_size = positive(kernel_size=kernel_size)
        self.dilation_rate = positive(dilation_rate=dilation_rate)
        self.units = positive(units=units)
        self.return_attention = return_attention
        self.implementation = one_of(
            attending.IMPLEMENTATIONS, implementation=implementation
        )
        self.use_cudnn = use_cudnn
        self.unroll = unroll
        self.renet = ReNet(
            units,
            use_cudnn=use_cudnn,
            unroll=unroll,
            dtype=self.dtype_policy,
            name="renet",
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
        for size in input_shape[1:3]:
            if size is None:
                raise ValueError(
                    "GlobalAttentionPooling needs a map of static height and width. "
                    f"Received: input_shape={input_shape}"
                )
            attending.global_grid(size, self.kernel_size, self.dilation_rate)
        self.renet.build(input_shape)
        seen = self.renet.compute_output_shape(input_shape)
        self.conv.build(seen)
        self.norm.build(self.conv.compute_output_shape(seen))

    def call(self, inputs, training=None):
        logits = self.norm(self.conv(self.renet(inputs)), training=training)
        attention = ops.softmax(ops.cast(logits, "float32"), axis=-1)
        outputs = attending.global_attention_pool(
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
            "units": self.units,
            "return_attention": self.return_attention,
            "implementation": self.implementation,
            "use_cudnn": self.use_cudnn,
            "unroll": self.unroll,
        }
