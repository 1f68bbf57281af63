"""Keras' own convolution, by another way."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.layers import DilatedConv2D, SteppingConv2D
from tests.layers.harness import LayerContract, random_input


class TestContract(LayerContract):
    layer_class = DilatedConv2D
    arguments = {
        "filters": 4,
        "kernel_size": 3,
        "dilation_rate": (2, 2),
        "padding": "same",
    }

    def test_config_is_what_was_passed(self):
        """It is all in Keras' own: sizes as tuples, initializers as objects."""
        config = self.layer_class(**self.arguments).get_config()
        assert config["dilation_rate"] == (2, 2)
        assert self.layer_class.from_config(config).get_config() == config


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size, dilation_rate", [((9, 8), 2), ((7, 5), 3), ((4, 4), 6)])
def test_equals_keras(size, dilation_rate, padding):
    if padding == "valid" and min(size) <= 2 * dilation_rate:
        return
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


class TestSteppingContract(TestContract):
    layer_class = SteppingConv2D
    arguments = {"filters": 4, "kernel_size": 3, "step": 2, "dilation_rate": (2, 2)}


@pytest.mark.parametrize("size", [(9, 8), (6, 7), (19, 19)])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_steps_pick_of_what_does_not_step(size, step):
    inputs = random_input(2, *size, 3)
    every = DilatedConv2D(4, 3, dilation_rate=2, padding="same")
    some = SteppingConv2D(4, 3, step=step, dilation_rate=2)
    for layer in (every, some):
        layer.build(inputs.shape)
        layer.set_weights([random_input(3, 3, 3, 4), random_input(4)])
    expected = every(inputs)[:, ::step, ::step]
    np.testing.assert_allclose(some(inputs), expected, atol=1e-5)
    assert some.compute_output_shape((None, *size, 3)) == (None, *expected.shape[1:])
