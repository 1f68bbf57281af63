"""Dilated convolutions equal Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.layers import DilatedConv2D, StridedDilatedConv2D
from tests.layers.harness import LayerContract, random_input


class TestContract(LayerContract):
    layer_class = DilatedConv2D
    arguments = {
        "filters": 4,
        "kernel_size": 3,
        "dilation_rate": (2, 2),
        "padding": "same",
    }
    variable_paths = ("bias", "kernel")

    def test_config_is_what_was_passed(self):
        """Keras' own config has sizes as tuples and initializers as objects."""
        config = self.layer_class(**self.arguments).get_config()
        assert config["dilation_rate"] == (2, 2)
        assert self.layer_class.from_config(config).get_config() == config


@pytest.mark.parametrize(
    "size, dilation_rate, padding",
    [
        ((9, 8), 2, "same"),
        ((7, 5), 3, "same"),
        ((4, 4), 6, "same"),
        ((9, 8), 2, "valid"),
        ((7, 8), 3, "valid"),
    ],
)
def test_equals_keras(size, dilation_rate, padding):
    options = {"padding": padding, "dilation_rate": dilation_rate}
    inputs = tf.constant(random_input(2, *size, 3))
    results = []
    for kind in (DilatedConv2D, keras.layers.Conv2D):
        layer = kind(4, 3, **options)
        layer.build(inputs.shape)
        layer.set_weights([random_input(3, 3, 3, 4), random_input(4)])
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
            loss = tf.reduce_sum(outputs * random_input(*outputs.shape, seed=1))
        gradients = tape.gradient(loss, [inputs, *(w.value for w in layer.weights)])
        results.append([outputs, *gradients])
    for given, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(given, wanted, atol=1e-4)


class TestStridedContract(TestContract):
    layer_class = StridedDilatedConv2D
    arguments = {"filters": 4, "kernel_size": 3, "strides": 2, "dilation_rate": (2, 2)}

    def test_config_is_what_was_passed(self):
        super().test_config_is_what_was_passed()
        config = self.layer_class(**self.arguments).get_config()
        assert config["strides"] == 2
        assert config["padding"] == "same"


@pytest.mark.parametrize("size", [(9, 8), (6, 7), (19, 19)])
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("dilation_rate", [1, 2])
def test_strides_subsample_the_dense_convolution(size, strides, dilation_rate):
    inputs = random_input(2, *size, 3)
    dense = DilatedConv2D(4, 3, dilation_rate=dilation_rate, padding="same")
    strided = StridedDilatedConv2D(4, 3, strides=strides, dilation_rate=dilation_rate)
    assert strided.strides == (strides, strides)
    for layer in (dense, strided):
        layer.build(inputs.shape)
        layer.set_weights([random_input(3, 3, 3, 4), random_input(4)])
    expected = dense(inputs)[:, ::strides, ::strides]
    np.testing.assert_allclose(strided(inputs), expected, atol=1e-5)
    output_shape = strided.compute_output_shape((None, *size, 3))
    assert output_shape == (None, *expected.shape[1:])
