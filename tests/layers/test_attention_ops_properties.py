"""Both implementations agree, in values and gradients, on random shapes."""

from unittest import mock

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from picanet_tf.layers import attention_ops, fused

sizes = st.integers(1, 9)
channels = st.integers(1, 5)


def assert_agree(function, *arguments):
    """Compares `function(implementation, *tensors)` of both in float64."""
    tensors = [tf.constant(argument) for argument in arguments]
    results = []
    for implementation in attention_ops.IMPLEMENTATIONS:
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = function(implementation, *tensors)
            # Different weights, so that errors of two outputs cannot cancel out.
            count = tf.size(outputs, out_type=tf.int64)
            weights = tf.reshape(tf.cos(tf.cast(tf.range(count), tf.float64)),
                                 tf.shape(outputs))  # fmt: skip
            weighted = tf.reduce_sum(outputs * weights)
        results.append([outputs, *tape.gradient(weighted, tensors)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-11)


def assert_agree_in_blocks(block_pixels, function, *arguments):
    with mock.patch.object(fused, "BLOCK_PIXELS", block_pixels):
        assert_agree(function, *arguments)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 99), st.integers(1, 2), sizes, sizes, channels, st.data())
def test_implementations_of_global_pooling_agree(seed, n, height, width, c, data):
    kernel_size = data.draw(st.integers(1, min(height, width)))
    longest = min(height, width)
    most = (longest - 1) // (kernel_size - 1) if kernel_size > 1 else 3
    dilation_rate = data.draw(st.integers(1, max(most, 1)))
    assert_agree(
        lambda implementation, f, a: attention_ops.global_attention_pool(
            f, a, kernel_size=kernel_size, dilation_rate=dilation_rate,
            implementation=implementation,
        ),
        normal(seed, n, height, width, c),
        normal(seed + 1, n, height, width, kernel_size**2),
    )  # fmt: skip


windows = st.sampled_from([1, 3, 5, 7])
rates = st.integers(1, 3)
# From one line per block to the whole map in one block.
blocks = st.sampled_from([1, 7, 20, 1600])


@settings(deadline=None, max_examples=15)
@given(
    st.integers(0, 99), st.integers(1, 2), sizes, sizes, channels, windows, rates,
    blocks,
)  # fmt: skip
def test_implementations_of_local_pooling_agree(
    seed, n, height, width, c, kernel_size, dilation_rate, block_pixels
):
    assert_agree_in_blocks(
        block_pixels,
        lambda implementation, f, a: attention_ops.local_attention_pool(
            f, a, kernel_size=kernel_size, dilation_rate=dilation_rate,
            implementation=implementation,
        ),
        normal(seed, n, height, width, c),
        normal(seed + 1, n, height, width, kernel_size**2),
    )  # fmt: skip


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 99), st.integers(1, 2), sizes, sizes, channels, channels, windows,
    rates, st.integers(1, 3), blocks,
)  # fmt: skip
def test_implementations_of_convolution_agree(
    seed, n, height, width, c, filters, kernel_size, dilation_rate, strides, pixels
):
    gates = (n, -(-height // strides), -(-width // strides), kernel_size**2)
    assert_agree_in_blocks(
        pixels,
        lambda implementation, f, g, w, b: attention_ops.attention_conv(
            f, g, w, b, dilation_rate=dilation_rate, strides=strides,
            implementation=implementation,
        ),
        normal(seed, n, height, width, c),
        normal(seed + 1, *gates),
        normal(seed + 2, kernel_size, kernel_size, c, filters),
        normal(seed + 3, filters),
    )  # fmt: skip
