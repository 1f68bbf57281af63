"""AC, Sec. 3.3, Eq. 4-5."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.layers import AttentionConvolution
from tests.layers import naive
from tests.layers.harness import AttentiveLayerContract


class TestContract(AttentiveLayerContract):
    layer_class = AttentionConvolution
    arguments = {
        "filters": 5,
        "kernel_size": 3,
        "dilation_rate": 2,
        "attention_filters": 4,
    }
    cancelled = ("conv/bias",)
    variable_paths = (
        "attention/conv/bias",
        "attention/conv/kernel",
        "attention/norm/beta",
        "attention/norm/collected_weight",
        "attention/norm/gamma",
        "attention/norm/moving_mean",
        "attention/norm/moving_variance",
        "attention/see/bias",
        "attention/see/kernel",
        "bias",
        "kernel",
    )


class TestStridedContract(TestContract):
    arguments = {**TestContract.arguments, "strides": 2, "filters": 2}


@pytest.mark.parametrize("implementation", ["fused", "patches"])
@pytest.mark.parametrize(
    "shape, kernel_size, dilation_rate, strides",
    [((5, 4), 3, 2, 1), ((3, 4), 5, 1, 1), ((4, 5), 3, 2, 2), ((7, 6), 3, 1, 3)],
)
def test_equals_naive_convolution_with_its_gates(
    shape, kernel_size, dilation_rate, strides, implementation
):
    contract = TestContract()
    contract.input_shape = (*shape, 3)
    layer = contract.make(
        kernel_size=kernel_size,
        dilation_rate=dilation_rate,
        strides=strides,
        implementation=implementation,
    )
    inputs = contract.batch()
    outputs, gates = layer(inputs)
    logits = layer.attention(inputs).numpy()
    np.testing.assert_allclose(gates, 1 / (1 + np.exp(-logits)), atol=1e-6)
    expected = naive.attention_conv(
        inputs.astype("float64"),
        gates.numpy(),
        layer.kernel.numpy(),
        layer.bias.numpy(),
        dilation_rate,
        strides,
    )
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_strides_of_2_halve_ssds_conv8_2():
    layer = AttentionConvolution(
        4, strides=2, attention_filters=2, return_attention=True
    )
    inputs = keras.Input((19, 19, 3))
    outputs, gates = layer(inputs)
    assert outputs.shape == (None, 10, 10, 4)
    assert gates.shape == (None, 10, 10, 49)
    assert layer(np.ones([1, 19, 19, 3], "float32"))[0].shape == (1, 10, 10, 4)
    graph = tf.function(layer).get_concrete_function(tf.TensorSpec([None, 19, 19, 3]))
    assert graph.outputs[0].shape == (None, 10, 10, 4)


def test_defaults_are_those_of_the_paper():
    config = AttentionConvolution(1).get_config()
    assert (config["kernel_size"], config["dilation_rate"]) == (7, 2)
    assert (config["attention_filters"], config["strides"]) == (128, 1)


def test_error_messages():
    with pytest.raises(ValueError, match="`kernel_size` must be odd.*kernel_size=6"):
        AttentionConvolution(8, 6)
    with pytest.raises(ValueError, match="implementation='fast'"):
        AttentionConvolution(8, 3, implementation="fast")
