"""L2 normalization with a learned scale per channel (ParseNet; SSD's conv4_3)."""

from __future__ import annotations

import keras
from keras import ops

from picanet_tf.layers.precision import at_least_float32

_EPSILON = 1e-10  # added under the square root, as in SSD's release


@keras.saving.register_keras_serializable(package="picanet_tf")
class L2Normalization(keras.layers.Layer):
    """Divides each position's feature vector by its L2 norm, then scales each channel.

    Args:
        scale: initial value of each channel's learned scale; 20 in SSD.

    Input shape: [N, H, W, C].
    Output shape: [N, H, W, C]; zero vectors stay zero.

    Example:
        >>> outputs = L2Normalization(10)(keras.ops.array([[[[3.0, 4.0]]]]))
        >>> outputs.numpy().ravel()
        array([6., 8.], dtype=float32)

    Reference: Liu et al., ParseNet, 2015, Sec. 3.3; SSD, ECCV 2016, Sec. 3.1.
    """

    def __init__(self, scale=20.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def build(self, input_shape):
        self.gamma = self.add_weight(
            name="gamma",
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(self.scale),
            autocast=False,  # Used in float32, as the statistics are.
        )

    def call(self, inputs):
        # The squares of conv4_3's activations exceed float16's range.
        dtype = at_least_float32(self.compute_dtype)
        wide = ops.cast(inputs, dtype)
        length = ops.sqrt(ops.sum(ops.square(wide), axis=-1, keepdims=True) + _EPSILON)
        gamma = ops.cast(ops.convert_to_tensor(self.gamma), dtype)
        return ops.cast(wide / length * gamma, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}
