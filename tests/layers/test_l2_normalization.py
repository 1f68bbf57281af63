"""L2 normalization as of SSD's conv4_3, compared with NumPy."""

import numpy as np
import tensorflow as tf

from picanet_tf.layers import L2Normalization
from tests.layers.harness import LayerContract, random_input


class TestContract(LayerContract):
    layer_class = L2Normalization
    arguments = {"scale": 3.0}
    variable_paths = ("gamma",)


def test_vectors_have_length_20_by_default():
    layer = L2Normalization()
    inputs = random_input(2, 3, 4, 5)
    outputs = layer(inputs)
    np.testing.assert_array_equal(layer.gamma, [20.0] * 5)
    np.testing.assert_allclose(np.linalg.norm(outputs, axis=-1), 20, rtol=1e-5)
    lengths = np.linalg.norm(inputs, axis=-1, keepdims=True)
    np.testing.assert_allclose(outputs, 20 * inputs / lengths, rtol=1e-5)


def test_each_channel_has_its_own_scale():
    layer = L2Normalization()
    layer.build((None, 1, 1, 2))
    layer.gamma.assign([10.0, 1.0])
    np.testing.assert_allclose(
        layer(np.float32([[[[3, 4]]]])), [[[[6, 0.8]]]], rtol=1e-6
    )


def test_zeros_stay_zero_and_their_gradient_is_finite():
    layer = L2Normalization()
    inputs = tf.zeros([1, 2, 2, 3])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs)
    np.testing.assert_array_equal(outputs, 0)
    assert np.isfinite(tape.gradient(outputs, inputs)).all()


def test_large_activations_in_half_precision():
    """300 squared exceeds float16's range."""
    outputs = L2Normalization(dtype="mixed_float16")(np.full([1, 1, 1, 4], 300.0))
    np.testing.assert_allclose(np.float32(outputs), 10, rtol=1e-3)


def test_the_scale_is_not_rounded_in_half_precision():
    """0.70711 * 1.0038 = 0.7098 is 182/256; with the scale as bfloat16, 1, 181/256."""
    outputs = L2Normalization(1.0038, dtype="mixed_bfloat16")(np.ones([1, 1, 1, 2]))
    np.testing.assert_array_equal(np.float32(outputs), 182 / 256)
