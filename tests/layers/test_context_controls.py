"""Average and max pooling, with which the paper compares attention."""

import numpy as np
import pytest

from picanet_tf.layers import GlobalContextPooling, LocalContextPooling
from tests.layers import naive
from tests.layers.harness import LayerContract, random_input


class TestGlobalAverage(LayerContract):
    layer_class = GlobalContextPooling
    arguments = {"mode": "average"}
    variable_paths = ()


class TestGlobalMax(TestGlobalAverage):
    arguments = {"mode": "max"}


class TestLocalAverage(LayerContract):
    layer_class = LocalContextPooling
    arguments = {"mode": "average", "kernel_size": 3, "dilation_rate": 2}
    variable_paths = ()


class TestLocalMax(TestLocalAverage):
    arguments = {"mode": "max", "kernel_size": 3, "dilation_rate": 2}


def test_global_pooling_broadcasts_one_vector():
    inputs = np.arange(12, dtype="float32").reshape(1, 2, 3, 2)
    average = GlobalContextPooling("average")(inputs)
    largest = GlobalContextPooling("max")(inputs)
    np.testing.assert_array_equal(average, np.full([1, 2, 3, 2], 5) + [0, 1])
    np.testing.assert_array_equal(largest, np.full([1, 2, 3, 2], 10) + [0, 1])


def test_global_average_of_large_values_in_half_precision():
    inputs = np.full([1, 28, 28, 1], 500, "float16")  # their sum is 392,000
    pooled = GlobalContextPooling("average", dtype="mixed_float16")(inputs)
    np.testing.assert_array_equal(pooled, inputs)


@pytest.mark.parametrize(
    "shape, kernel_size, dilation_rate",
    [((6, 5), 3, 1), ((5, 4), 3, 2), ((15, 14), 7, 2), ((3, 3), 7, 2)],
)
def test_local_average_divides_by_the_whole_window(shape, kernel_size, dilation_rate):
    inputs = random_input(2, *shape, 3)
    layer = LocalContextPooling("average", kernel_size, dilation_rate)
    uniform = np.full([2, *shape, kernel_size**2], 1 / kernel_size**2)
    expected = naive.local_attention_pool(inputs, uniform, kernel_size, dilation_rate)
    np.testing.assert_allclose(layer(inputs), expected, atol=1e-6)


def test_local_average_at_a_corner_is_over_49():
    pooled = LocalContextPooling("average", 7, 2)(np.ones([1, 20, 20, 1], "float32"))
    assert float(pooled[0, 0, 0, 0]) == pytest.approx(16 / 49)
    assert float(pooled[0, 10, 10, 0]) == pytest.approx(1)


@pytest.mark.parametrize(
    "shape, kernel_size, dilation_rate",
    [((6, 5), 3, 1), ((5, 4), 3, 2), ((15, 14), 7, 2), ((3, 3), 7, 2)],
)
def test_local_maximum_ignores_positions_outside(shape, kernel_size, dilation_rate):
    # All negative, so that zeros from outside would be the maximum.
    inputs = -1 - np.abs(random_input(2, *shape, 3))
    reach = (kernel_size - 1) // 2 * dilation_rate
    steps = range(-reach, reach + 1, dilation_rate)
    expected = np.zeros(inputs.shape)
    for y in range(shape[0]):
        for x in range(shape[1]):
            expected[:, y, x] = np.max(
                [
                    inputs[:, y + dy, x + dx]
                    for dy in steps
                    for dx in steps
                    if 0 <= y + dy < shape[0] and 0 <= x + dx < shape[1]
                ],
                axis=0,
            )
    outputs = LocalContextPooling("max", kernel_size, dilation_rate)(inputs)
    np.testing.assert_array_equal(outputs, expected.astype("float32"))


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_local_maximum_of_negatives_in_half_precision(precision):
    inputs = np.full([1, 4, 4, 1], -3, "float32")
    outputs = LocalContextPooling("max", 3, 2, dtype=f"mixed_{precision}")(inputs)
    np.testing.assert_array_equal(np.array(outputs, "float32"), inputs)


def test_defaults_are_those_of_the_paper():
    config = LocalContextPooling("max").get_config()
    assert (config["kernel_size"], config["dilation_rate"]) == (7, 2)


def test_error_messages():
    for layer_class in (GlobalContextPooling, LocalContextPooling):
        with pytest.raises(ValueError, match="`mode` must be one of.*mode='median'"):
            layer_class("median")
    with pytest.raises(ValueError, match="`kernel_size` must be odd.*kernel_size=4"):
        LocalContextPooling("max", kernel_size=4)


def test_local_average_in_bfloat16_is_summed_in_float32():
    """256 and 1 in turn: 1027 / 7 is 147. In bfloat16, it would be 1024 / 7, 146."""
    inputs = np.ones([1, 7, 7, 1], np.float32)
    inputs[:, :, ::2] = 256
    outputs = LocalContextPooling("average", 7, 1, dtype="mixed_bfloat16")(inputs)
    assert float(outputs[0, 3, 3, 0]) == 147
