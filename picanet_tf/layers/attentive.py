"""The base class of the attentive layers."""

from __future__ import annotations

import keras

from picanet_tf.layers import attention_ops
from picanet_tf.layers.arguments import check_choice
from picanet_tf.layers.precision import at_least_float32


class AttentiveLayer(keras.layers.Layer):
    """Base class of the layers that can return their attention: GAP, LAP and AC.

    A subclass sets `kernel_size`, K, and implements `attend` and `get_logits_layer`. It
    overrides `compute_features_shape` if its output features and its inputs differ in
    shape.

    Args:
        return_attention: whether to return the attention as a second output.
        implementation: `"fused"` or `"patches"`, see `attention_ops`.
        **kwargs: arguments of `keras.layers.Layer`.

    Input shape: [N, H, W, C].
    Output shape: [N, H', W', C']; with `return_attention` also the attention
        [N, H', W', K*K], float32, or float64 under the policy float64.

    Raises:
        ValueError: an unknown `implementation`.
    """

    kernel_size: int

    def __init__(self, return_attention=False, implementation="fused", **kwargs):
        super().__init__(**kwargs)
        self.return_attention = return_attention
        self.implementation = check_choice(
            attention_ops.IMPLEMENTATIONS, implementation=implementation
        )

    # A method and not a property: Keras walks attributes to save and load weights, and
    # would never finish with one that returns the layer itself, as in GAP.
    def get_logits_layer(self) -> keras.layers.Layer:
        """Returns the layer whose `conv` and `norm` compute the attention's logits."""
        raise NotImplementedError

    def attend(self, inputs, training=None):
        """Computes the output features and the attention, and returns both."""
        raise NotImplementedError

    def call(self, inputs, training=None):
        outputs, attention = self.attend(inputs, training=training)
        return (outputs, attention) if self.return_attention else outputs

    def compute_features_shape(self, input_shape):
        """Returns the shape of the output features, [N, H', W', C']."""
        return input_shape

    def compute_output_shape(self, input_shape):
        shape = self.compute_features_shape(input_shape)
        attention = (*shape[:-1], self.kernel_size**2)
        return (shape, attention) if self.return_attention else shape

    def compute_output_spec(self, inputs, training=None):
        shape = self.compute_features_shape(inputs.shape)
        outputs = keras.KerasTensor(shape, self.compute_dtype)
        attention = keras.KerasTensor(
            (*shape[:-1], self.kernel_size**2), at_least_float32(self.compute_dtype)
        )
        return (outputs, attention) if self.return_attention else outputs

    def get_config(self):
        return {
            **super().get_config(),
            "return_attention": self.return_attention,
            "implementation": self.implementation,
        }
