"""Both implementations equal naive loops, in values and in gradients."""

import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.layers import attention_ops
from tests.layers import naive
from tests.layers.harness import random

IMPLEMENTATIONS = pytest.mark.parametrize(
    "implementation", attention_ops.IMPLEMENTATIONS
)


def assert_equals_naive(function, naive_function, arguments):
    """Compares values and gradients in float64, eagerly and in a graph."""
    expected = naive_function(*arguments)
    upstream = random(*expected.shape, seed=1)
    expected_gradients = naive.gradients(naive_function, arguments, upstream)

    def value_and_gradients(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = function(*tensors)
        return outputs, tape.gradient(outputs, tensors, upstream)

    tensors = [tf.constant(argument) for argument in arguments]
    graph = tf.function(value_and_gradients)
    for run in (value_and_gradients, graph):
        outputs, gradients = run(*tensors)
        assert outputs.dtype == tf.float64
        np.testing.assert_allclose(outputs, expected, atol=1e-12)
        for gradient, wanted in zip(gradients, expected_gradients, strict=True):
            np.testing.assert_allclose(gradient, wanted, atol=1e-7)


@IMPLEMENTATIONS
@pytest.mark.parametrize(
    "height, width, kernel_size, dilation_rate",
    [(4, 4, 2, 3), (5, 4, 3, 1), (6, 5, 2, 2), (3, 3, 3, 1), (2, 3, 1, 1)],
)
def test_global_attention_pool(
    implementation, height, width, kernel_size, dilation_rate
):
    options = {"kernel_size": kernel_size, "dilation_rate": dilation_rate}
    assert_equals_naive(
        lambda f, a: attention_ops.global_attention_pool(
            f, a, implementation=implementation, **options
        ),
        lambda f, a: naive.global_attention_pool(f, a, **options),
        [random(2, height, width, 3), random(2, height, width, kernel_size**2)],
    )


@IMPLEMENTATIONS
@pytest.mark.parametrize(
    "height, width, kernel_size, dilation_rate",
    # Among them a map smaller than the window and a map of one pixel.
    [(4, 5, 3, 2), (5, 3, 5, 1), (3, 4, 3, 1), (1, 1, 3, 2), (2, 3, 1, 1)],
)
def test_local_attention_pool(
    implementation, height, width, kernel_size, dilation_rate
):
    options = {"kernel_size": kernel_size, "dilation_rate": dilation_rate}
    assert_equals_naive(
        lambda f, a: attention_ops.local_attention_pool(
            f, a, implementation=implementation, **options
        ),
        lambda f, a: naive.local_attention_pool(f, a, **options),
        [random(2, height, width, 3), random(2, height, width, kernel_size**2)],
    )


@IMPLEMENTATIONS
@pytest.mark.parametrize("filters", [2, 4])  # fewer and more than the 3 channels
@pytest.mark.parametrize(
    "height, width, kernel_size, dilation_rate, strides",
    [
        (4, 5, 3, 2, 1),
        (3, 2, 5, 1, 1),
        (5, 4, 3, 1, 2),
        (4, 5, 3, 2, 3),
        (2, 2, 1, 1, 1),
    ],
)
def test_attention_conv(
    implementation, height, width, kernel_size, dilation_rate, strides, filters
):
    gates_shape = (2, -(-height // strides), -(-width // strides), kernel_size**2)
    assert_equals_naive(
        lambda f, g, w, b: attention_ops.attention_conv(
            f,
            g,
            w,
            b,
            dilation_rate=dilation_rate,
            strides=strides,
            implementation=implementation,
        ),
        lambda f, g, w, b: naive.attention_conv(f, g, w, b, dilation_rate, strides),
        [
            random(2, height, width, 3),
            random(*gates_shape),
            random(kernel_size, kernel_size, 3, filters),
            random(filters),
        ],
    )


@IMPLEMENTATIONS
def test_with_open_gates_it_is_a_dilated_convolution(implementation):
    features, kernel = random(1, 9, 8, 4), random(7, 7, 4, 5)
    outputs = attention_ops.attention_conv(
        tf.constant(features),
        tf.ones([1, 9, 8, 49], tf.float64),
        tf.constant(kernel),
        dilation_rate=2,
        implementation=implementation,
    )
    expected = tf.nn.conv2d(features, kernel, strides=1, padding="SAME", dilations=2)
    np.testing.assert_allclose(outputs, expected, atol=1e-11)


@IMPLEMENTATIONS
def test_one_graph_serves_every_size(implementation):
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 2])] * 1)
    def pool(features):
        attention = tf.ones(tf.concat([tf.shape(features)[:3], [9]], 0))
        attention = tf.ensure_shape(attention, [None, None, None, 9])
        kernel = tf.ones([3, 3, 2, 1])
        options = {"dilation_rate": 1, "implementation": implementation}
        return (
            attention_ops.local_attention_pool(
                features, attention, kernel_size=3, **options
            ),
            attention_ops.attention_conv(features, attention, kernel, **options),
        )

    for shape in [(1, 4, 5, 2), (2, 3, 3, 2)]:
        pooled, convolved = pool(tf.ones(shape))
        assert pooled.shape == shape
        assert pooled[0, 1, 1, 0] == 9  # a full window
        assert pooled[0, 0, 0, 0] == 4  # a corner: five of nine positions are outside
        assert convolved[0, 0, 1, 0] == 12  # an edge, two channels


@pytest.mark.parametrize(
    "size, kernel_size, dilation_rate, positions",
    [
        (28, 10, 3, list(range(0, 28, 3))),  # the paper's, covers 28 exactly
        (29, 10, 3, list(range(0, 28, 3))),
        (30, 10, 3, list(range(1, 29, 3))),  # centred
        (12, 12, 1, list(range(12))),
        (5, 1, 7, [2]),
    ],
)
def test_global_grid(size, kernel_size, dilation_rate, positions):
    grid = attention_ops.global_grid(size, kernel_size, dilation_rate)
    assert list(range(size))[grid] == positions


def test_local_window():
    assert list(attention_ops.local_window(5, 7, 2)) == [-1, 1, 3, 5, 7, 9, 11]
    assert list(attention_ops.local_window(0, 1, 3)) == [0]


@pytest.mark.parametrize(
    "size, strides, expected", [(19, 2, 10), (18, 2, 9), (7, 1, 7), (None, 2, None)]
)
def test_output_size(size, strides, expected):
    assert attention_ops.output_size(size, strides) == expected


def test_error_messages():
    features, attention = tf.ones([1, 8, 8, 2]), tf.ones([1, 8, 8, 16])
    with pytest.raises(ValueError, match="spans 10 positions .* map of 8"):
        attention_ops.global_attention_pool(
            features, attention, kernel_size=4, dilation_rate=3
        )
    with pytest.raises(ValueError, match="must be odd.*kernel_size=4"):
        attention_ops.local_attention_pool(
            features, attention, kernel_size=4, dilation_rate=1
        )
    with pytest.raises(ValueError, match="one channel for each .* kernel_size=3"):
        attention_ops.local_attention_pool(
            features, attention, kernel_size=3, dilation_rate=1
        )
    with pytest.raises(ValueError, match="`dilation_rate` must .* dilation_rate=0"):
        attention_ops.global_attention_pool(
            features, attention, kernel_size=4, dilation_rate=0
        )
    with pytest.raises(ValueError, match="must be odd.*kernel_size=2"):
        attention_ops.attention_conv(
            features, tf.ones([1, 8, 8, 4]), tf.ones([2, 2, 2, 1]), dilation_rate=1
        )
    with pytest.raises(ValueError, match="static height and width"):
        tf.function(attention_ops.global_attention_pool).get_concrete_function(
            tf.TensorSpec([1, None, 8, 2]), attention, kernel_size=4, dilation_rate=1
        )
    with pytest.raises(ValueError, match="implementation='fast'"):
        attention_ops.local_attention_pool(
            features,
            attention,
            kernel_size=3,
            dilation_rate=1,
            implementation="fast",
        )
    with pytest.raises(ValueError, match="output's size.*strides=2"):
        attention_ops.attention_conv(
            features,
            tf.ones([1, 8, 8, 9]),
            tf.ones([3, 3, 2, 1]),
            dilation_rate=1,
            strides=2,
        )
