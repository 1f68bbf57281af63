"""Tiles of lines: widths around their size, unknown shapes, half precision."""

import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.layers import banded
from picanet_tf.layers.attention_ops import local_attention_pool
from picanet_tf.layers.gradients import inference_only
from picanet_tf.layers.windows import Window
from tests.layers import naive
from tests.layers.harness import random


def value_and_gradients(features, attention, upstream, implementation, **window):
    with tf.GradientTape() as tape:
        tape.watch((features, attention))
        pooled = local_attention_pool(
            features, attention, implementation=implementation, **window
        )
    return pooled, *tape.gradient(pooled, (features, attention), upstream)


@pytest.mark.parametrize("width", [1, 31, 32, 33, 64, 65, 97])
@pytest.mark.parametrize(
    "kernel_size, dilation_rate",
    [(7, 2), (3, 5), (5, 1), (7, 12)],  # the last reaches beyond the next tile
)
def test_any_width(width, kernel_size, dilation_rate):
    window = {"kernel_size": kernel_size, "dilation_rate": dilation_rate}
    features, attention = random(2, 3, width, 4), random(2, 3, width, kernel_size**2)
    arguments = features, attention, random(2, 3, width, 4, seed=1)
    actual = value_and_gradients(*map(tf.constant, arguments), "fused", **window)
    expected = value_and_gradients(*map(tf.constant, arguments), "patches", **window)
    loops = naive.local_attention_pool(features, attention, **window)
    np.testing.assert_allclose(actual[0], loops, atol=1e-12)
    for ours, reference in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, reference, atol=1e-12)


def test_strips_of_lines(monkeypatch):
    """Strips of three lines and a last one of one line, as many as one at a time."""
    window = {"kernel_size": 7, "dilation_rate": 2}
    features, attention = random(2, 7, 40, 4), random(2, 7, 40, 49)
    whole = local_attention_pool(features, attention, **window)
    for lines in (1, 3):
        monkeypatch.setattr(banded, "STRIP", lines * 2 * 7 * 32 * 4)
        tiling = banded._Tiling.of(Window(7, 2), 40)
        strips = tiling.cut_strips(tf.constant(features))
        assert strips == [(top, min(top + lines, 7)) for top in range(0, 7, lines)]
        pooled = local_attention_pool(features, attention, **window)
        np.testing.assert_array_equal(pooled, whole)
    np.testing.assert_allclose(
        whole, naive.local_attention_pool(features, attention, **window), atol=1e-12
    )


def test_no_tensor_of_a_prediction_is_as_large_as_all_surroundings():
    """The largest is the band, 280 values a pixel of D2; surroundings have 1,280."""
    predict = tf.function(
        lambda x, a: local_attention_pool(x, a, kernel_size=7, dilation_rate=2),
        input_signature=[
            tf.TensorSpec([1, 112, 112, 128]),
            tf.TensorSpec([1, 112, 112, 49]),
        ],
    )
    with inference_only():
        graph = predict.get_concrete_function().graph
    sizes = [
        out.shape.num_elements() for op in graph.get_operations() for out in op.outputs
    ]
    assert max(sizes) < 300 * 112 * 112


def test_shapes_that_are_unknown_in_the_graph():
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float64)] * 2)
    def run(features, upstream):
        attention = tf.tile(features, [1, 1, 1, 3])
        return attention, *value_and_gradients(
            features, attention, upstream, "fused", kernel_size=3, dilation_rate=2
        )

    for shape in [(1, 5, 7, 3), (2, 4, 70, 3)]:
        features, upstream = random(*shape), random(*shape, seed=1)
        attention, *actual = run(features, upstream)
        expected = value_and_gradients(
            tf.constant(features),
            attention,
            tf.constant(upstream),
            "patches",
            kernel_size=3,
            dilation_rate=2,
        )
        for ours, reference in zip(actual, expected, strict=True):
            np.testing.assert_allclose(ours, reference, atol=1e-12)


def test_an_unknown_number_of_channels():
    run = tf.function(
        lambda x, a: local_attention_pool(x, a, kernel_size=3, dilation_rate=1),
        input_signature=[tf.TensorSpec([1, 4, 5, None]), tf.TensorSpec([1, 4, 5, 9])],
    )
    features, attention = tf.random.normal([1, 4, 5, 2]), tf.random.normal([1, 4, 5, 9])
    expected = local_attention_pool(features, attention, kernel_size=3, dilation_rate=1)
    np.testing.assert_array_equal(run(features, attention), expected)


@pytest.mark.parametrize("shape", [(0, 4, 5), (2, 0, 5), (2, 4, 0)])
def test_empty_maps(shape):
    pooled = local_attention_pool(
        tf.ones([*shape, 2]), tf.ones([*shape, 9]), kernel_size=3, dilation_rate=1
    )
    assert pooled.shape == (*shape, 2)


def test_half_precision_rounds_each_result_once():
    """Sums are float32: the error is that of rounding inputs' exact results."""
    window = {"kernel_size": 7, "dilation_rate": 2}
    arguments = [
        tf.cast(values, tf.bfloat16)
        for values in (
            random(1, 20, 70, 16),
            np.abs(random(1, 20, 70, 49)),
            random(1, 20, 70, 16, seed=1),
        )
    ]
    exact = value_and_gradients(
        *(tf.cast(argument, tf.float64) for argument in arguments), "fused", **window
    )
    actual = value_and_gradients(*arguments, "fused", **window)
    rounding = 2.0**-8  # bfloat16 keeps 8 bits
    names = ("pooled", "d_features", "d_attention")
    for name, ours, reference in zip(names, actual, exact, strict=True):
        assert ours.dtype == tf.bfloat16
        # At most 4 tiles' parts of a gradient are added after they were rounded.
        bound = rounding * np.abs(reference).max() * (2 if name == "d_features" else 1)
        error = np.abs(tf.cast(ours, tf.float64) - reference).max()
        assert error <= bound, name


@pytest.mark.parametrize("width, count, tile", [(1, 1, 1), (28, 1, 28), (112, 4, 28)])
def test_tiles_of_equal_length(width, count, tile):
    tiling = banded._Tiling.of(Window(7, 2), width)
    assert (tiling.count, tiling.tile, tiling.reach) == (count, tile, tile + 12)


def test_a_band_holds_the_attention_at_the_windows_columns():
    tiling = banded._Tiling.of(Window(3, 2), 5)
    attention = random(4, 2, 5, 9)
    band = tiling.make_band(tf.constant(attention)).numpy()
    assert band.shape == (4, 2, 1, 5, 3 * 9)
    expected = np.zeros((4, 2, 5, 3, 9))
    for x in range(5):
        expected[:, :, x, :, x : x + 5 : 2] = attention[:, :, x].reshape(4, 2, 3, 3)
    np.testing.assert_array_equal(band[:, :, 0], expected.reshape(4, 2, 5, 27))
    np.testing.assert_array_equal(tiling.read_band(tf.constant(band)), attention)
