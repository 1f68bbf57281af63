"""Blocks of lines, both forms of the backward pass, unknown shapes, half precision."""

import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.layers import fused
from picanet_tf.layers.attention_ops import attention_conv
from picanet_tf.layers.windows import Window
from tests.layers import naive
from tests.layers.harness import random


def value_and_gradients(upstream, *arguments, implementation="fused", **window):
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        outputs = attention_conv(*arguments, implementation=implementation, **window)
    return outputs, *tape.gradient(outputs, arguments, upstream)


FORMS = pytest.mark.parametrize(
    "form, limit", [("_gradients_from_taps", 0), ("_gradients_from_upstream_taps", 64)]
)


@pytest.fixture
def choose(monkeypatch):
    """Sets the limit of the second form; returns the names of those that were used."""

    def choose(limit):
        monkeypatch.setattr(fused, "UPSTREAM_TAP_BYTES", limit)
        used = []
        for name in ("_gradients_from_taps", "_gradients_from_upstream_taps"):
            monkeypatch.setattr(fused, name, noted(name, getattr(fused, name), used))
        return used

    def noted(name, compute, used):
        def compute_and_note(*arguments):
            used.append(name)
            return compute(*arguments)

        return compute_and_note

    return choose


@FORMS
@pytest.mark.parametrize("kernel_size, dilation_rate", [(3, 2), (5, 1)])
@pytest.mark.parametrize("block_pixels", [1, 20, 1600])
def test_any_number_of_blocks(
    choose, monkeypatch, block_pixels, kernel_size, dilation_rate, form, limit
):
    used = choose(limit)
    monkeypatch.setattr(fused, "BLOCK_PIXELS", block_pixels)
    arguments = [
        random(2, 7, 6, 3),
        random(2, 7, 6, 4),
        random(2, 7, 6, kernel_size**2),
        random(kernel_size, kernel_size, 4, 3),
    ]
    window = {"dilation_rate": dilation_rate}
    actual = value_and_gradients(*map(tf.constant, arguments), **window)
    expected = value_and_gradients(
        *map(tf.constant, arguments), implementation="patches", **window
    )
    assert used == [form]
    loops = naive.attention_conv(*arguments[1:], np.zeros(3), dilation_rate, 1)
    np.testing.assert_allclose(actual[0], loops, atol=1e-12)
    for ours, reference in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, reference, atol=1e-12)


@FORMS
def test_shapes_that_are_unknown_in_the_graph(choose, form, limit):
    used = choose(limit)
    kernel = tf.constant(random(3, 3, 3, 2))

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, channels], tf.float64)
            for channels in (2, 3, 9)
        ]
    )
    def run(upstream, features, gates):
        return value_and_gradients(upstream, features, gates, kernel, dilation_rate=2)

    for shape in [(1, 5, 7), (2, 9, 4)]:
        arguments = [tf.constant(random(*shape, channels)) for channels in (2, 3, 9)]
        expected = value_and_gradients(
            *arguments, kernel, dilation_rate=2, implementation="patches"
        )
        for ours, reference in zip(run(*arguments), expected, strict=True):
            np.testing.assert_allclose(ours, reference, atol=1e-12)
    assert used == [form]


@FORMS
def test_half_precision_sums_in_float32(choose, form, limit):
    used = choose(limit)
    arguments = [
        tf.cast(values, tf.bfloat16)
        for values in (
            random(1, 20, 30, 16),
            random(1, 20, 30, 32),
            np.abs(random(1, 20, 30, 49)),
            random(7, 7, 32, 16),
        )
    ]
    exact = value_and_gradients(
        *(tf.cast(argument, tf.float64) for argument in arguments), dilation_rate=2
    )
    actual = value_and_gradients(*arguments, dilation_rate=2)
    assert used[-1] == form
    rounding = 2.0**-8  # bfloat16 keeps 8 bits
    for ours, reference in zip(actual, exact, strict=True):
        assert ours.dtype == tf.bfloat16
        # Rounded taps are added up, and the sum is rounded once more.
        error = tf.cast(ours, tf.float64) - reference
        assert np.abs(error).max() <= 3 * rounding * np.abs(reference).max()
        assert np.sqrt(np.mean(error**2)) <= 1.2 * rounding * np.std(reference)


@pytest.mark.parametrize("filters, dtype, form", [
    (64, "float32", "_gradients_from_upstream_taps"),
    (128, "float32", "_gradients_from_taps"),
    (128, "bfloat16", "_gradients_from_upstream_taps"),
    (256, "bfloat16", "_gradients_from_taps"),
])  # fmt: skip
def test_form_of_the_gradient_depends_on_the_size_of_a_pixel(
    choose, filters, dtype, form
):
    used = choose(fused.UPSTREAM_TAP_BYTES)
    shapes = (1, 2, 2, filters), (1, 2, 2, 256), (1, 2, 2, 9), (3, 3, 256, filters)
    value_and_gradients(*(tf.ones(shape, dtype) for shape in shapes), dilation_rate=1)
    assert used == [form]


def test_more_filters_than_channels_take_taps_of_the_features(choose):
    used = choose(fused.UPSTREAM_TAP_BYTES)
    shapes = (1, 2, 2, 4), (1, 2, 2, 3), (1, 2, 2, 9), (3, 3, 3, 4)
    value_and_gradients(*map(tf.ones, shapes), dilation_rate=1)
    assert used == ["_gradients_from_taps"]


def test_a_reversed_weight_lies_where_it_is_applied():
    window = Window(kernel_size=3, dilation_rate=2)
    weights = random(5, 2, 6, 9)  # [H, N, W, K*K]
    moved = window.reverse(tf.constant(weights)).numpy()
    # Position 1 is two lines up: the weight of pixel (3, 4) is that of pixel (1, 4).
    assert moved[1, 0, 4, 8 - 1] == weights[3, 0, 4, 1]
    assert moved[3, 1, 2, 8 - 5] == weights[3, 1, 0, 5]
    assert (moved[3:, :, :, 8 - 1] == 0).all()  # No pixel is two lines below.
    np.testing.assert_array_equal(moved[..., 4], weights[..., 4])  # the centre
    again = window.reverse(tf.constant(moved)).numpy()
    inside = window.reverse(window.reverse(tf.ones_like(weights))).numpy()
    np.testing.assert_array_equal(again, weights * inside)
    assert set(np.unique(inside)) == {0, 1}
