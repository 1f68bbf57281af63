"""Eq. 5 (AC) without the K*K-fold patch tensor, forward and backward.

In this module, a *line* is a row of the map; a *row* is a row of the window.

Maps are transposed to [H, N, W, ...], where a slice of consecutive lines is a view and
costs nothing. The K columns of all windows are gathered once, [H, N, W, K, C] (see
`Window.gather_columns`): these are the *taps*. The taps of any window row are this same
tensor, shifted by some lines. The equation is evaluated in blocks of lines that fit
the processor's cache, one window row after another. The backward pass gathers the taps
again instead of keeping them.

A block of the forward pass consists of output lines. A block of the backward pass
consists of lines of the features, so that the gradients that all window rows send to
them can be added up at once.

The backward pass has two forms. With many filters, its products take most of the time,
and it computes two of them for each window row, on taps of the features. With few
filters, reading and writing the taps does: then the taps are those of the upstream
gradient, which has fewer channels, at the price of a third product.
"""

from __future__ import annotations

import tensorflow as tf

from picanet_tf.layers.gradients import with_gradient
from picanet_tf.layers.precision import at_least_float32
from picanet_tf.layers.windows import Window, get_size, swap_batch_and_lines

# Pixels of an image in a block: enough for matrix products at full speed, few enough
# for the taps to stay in the cache.
BLOCK_PIXELS = 1600
# Steps (of one window row in one block) that may run concurrently: while one waits for
# memory or synchronizes its threads, the other computes.
CONCURRENT_STEPS = 2
# The largest pixel of the upstream gradient, in bytes, of which the backward pass takes
# taps: measured to be faster up to 64 filters in float32 and 128 in bfloat16.
UPSTREAM_TAP_BYTES = 256


class _Throttle:
    """Makes each step wait for the one `CONCURRENT_STEPS` before it.

    Otherwise TensorFlow's executor would start the steps of all blocks and rows at
    once, and hold the taps of all of them in memory.
    """

    def __init__(self):
        self._finished: list = []

    def wait(self, tensor):
        """Returns `tensor`, available as soon as the next step may start."""
        if len(self._finished) < CONCURRENT_STEPS:
            return tensor
        with tf.control_dependencies(self._finished[-CONCURRENT_STEPS]):
            return tf.identity(tensor)

    def finish(self, *results):
        """Ends a step that computed `results`."""
        self._finished.append(results)


def conv(features, gates, kernel, window: Window):
    """Eq. 5: [N, H, W, C], [N, H, W, K*K], [K, K, C, F] -> [N, H, W, F]."""
    size, _, channels, filters = kernel.shape
    flat = [-1, size * channels]

    @with_gradient
    def forward(features, gates, kernel):
        taps = window.gather_columns(window.pad_lines(swap_batch_and_lines(features)))
        rows, outputs = window.split_rows(swap_batch_and_lines(gates)), []
        throttle = _Throttle()
        matrices = tf.unstack(tf.reshape(kernel, [size, *flat[1:], filters]))
        for start, stop in _iterate_blocks(rows[0]):
            total = None
            for row, row_gates in enumerate(rows):
                first = start + row * window.dilation_rate
                row_taps = throttle.wait(taps)[first : first + stop - start]
                gated = tf.reshape(row_taps * row_gates[start:stop], flat)
                total = _add(total, tf.matmul(gated, matrices[row]))
                throttle.finish(total)
            outputs.append(tf.cast(total, features.dtype))

        def backward(upstream):
            tap_bytes = filters * upstream.dtype.size
            few = filters <= channels and tap_bytes <= UPSTREAM_TAP_BYTES
            compute = _gradients_from_upstream_taps if few else _gradients_from_taps
            d_features, d_gates, d_kernel = compute(
                window,
                swap_batch_and_lines(features),
                swap_batch_and_lines(gates),
                kernel,
                swap_batch_and_lines(upstream),
            )
            d_features, d_gates = map(swap_batch_and_lines, (d_features, d_gates))
            return d_features, d_gates, d_kernel

        shape = [*(get_size(rows[0], axis) for axis in range(3)), filters]
        if rows[0].shape[0] and rows[0].shape[2]:
            shape[1] = -1  # At most one dimension, the batch, stays unknown.
        outputs = tf.reshape(tf.concat(outputs, axis=0), shape)
        return swap_batch_and_lines(outputs), backward

    return forward(features, gates, kernel)


def _gradients_from_taps(window: Window, features, gates, kernel, upstream):
    """Computes the gradients of `conv` on the taps of the features.

    Args:
        window: the window.
        features: [H, N, W, C].
        gates: [H, N, W, K*K].
        kernel: [K, K, C, F].
        upstream: [H, N, W, F].

    Returns:
        The gradients of the features, the gates and the kernel, of their shapes.
    """
    size, _, channels, filters = kernel.shape
    taps = window.gather_columns(features)
    upstream = window.pad_lines(upstream)
    rows = window.split_rows(window.pad_lines(gates))
    matrices = tf.unstack(tf.reshape(kernel, [size, size * channels, filters]))
    d_features, throttle = [], _Throttle()
    d_rows, d_kernel = [[] for _ in rows], [[] for _ in rows]
    for start, stop in _iterate_blocks(taps):
        d_block = []
        for row, row_gates in enumerate(rows):
            # The window that has this row on line s has its centre on line s - offset,
            # to which the padding adds the margin.
            first = start + window.margin - window.row_offset(row)
            pixels = slice(first, first + stop - start)
            row_taps, gated_by = throttle.wait(taps)[start:stop], row_gates[pixels]
            d_outputs = tf.reshape(throttle.wait(upstream)[pixels], [-1, filters])
            gated = tf.reshape(row_taps * gated_by, [-1, size * channels])
            d_kernel[row].append(tf.matmul(gated, d_outputs, transpose_a=True))
            with tf.control_dependencies(d_kernel[row][-1:]):
                d_gated = tf.matmul(d_outputs, matrices[row], transpose_b=True)
            d_gated = tf.reshape(d_gated, tf.shape(row_taps))
            d_rows[row].append(tf.reduce_sum(d_gated * row_taps, axis=-1))
            d_block.append(d_gated * gated_by)
            throttle.finish(d_rows[row][-1], d_block[-1])
        d_block = _to_float32(tf.add_n(d_block))
        d_features.append(tf.cast(window.scatter_columns(d_block), features.dtype))
        throttle.finish(d_features[-1])
    d_gates = [
        window.shift_lines(tf.concat(blocks, axis=0), window.row_offset(row))
        for row, blocks in enumerate(d_rows)
    ]
    d_kernel = tf.stack([tf.add_n(blocks) for blocks in d_kernel])
    return (
        tf.concat(d_features, axis=0),
        tf.concat(d_gates, axis=-1),
        tf.reshape(d_kernel, kernel.shape),
    )


def _gradients_from_upstream_taps(window: Window, features, gates, kernel, upstream):
    """Computes the gradients of `conv` as `_gradients_from_taps` does.

    The gradient of the features is itself the attention convolution of the upstream
    gradient, by the reversed gates, with the reversed kernel. So its gated taps are at
    hand when the kernel's gradient needs them, and are summed by the product.
    """
    size, _, channels, filters = kernel.shape
    taps = window.gather_columns(window.pad_lines(upstream))
    rows = window.split_rows(window.reverse(gates))
    kernel = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 2, 1, 3])
    matrices = tf.unstack(tf.reshape(kernel, [size, channels, size * filters]))
    ones = tf.ones([filters, 1], taps.dtype)  # A product sums fast, and in float32.
    d_features, throttle = [], _Throttle()
    d_rows, d_kernel = [[] for _ in rows], [[] for _ in rows]
    for start, stop in _iterate_blocks(features):
        block = tf.reshape(features[start:stop], [-1, channels])
        d_block = None
        for row, row_gates in enumerate(rows):
            first = start + row * window.dilation_rate
            row_taps = throttle.wait(taps)[first : first + stop - start]
            outputs = tf.reshape(tf.matmul(block, matrices[row]), tf.shape(row_taps))
            d_row = tf.matmul(tf.reshape(outputs * row_taps, [-1, filters]), ones)
            d_rows[row].append(tf.reshape(d_row, tf.shape(row_taps)[:-1]))
            gated = row_taps * row_gates[start:stop]
            gated = tf.reshape(gated, [-1, size * filters])
            d_kernel[row].append(tf.matmul(block, gated, transpose_a=True))
            product = tf.matmul(gated, matrices[row], transpose_b=True)
            d_block = _add(d_block, product)
            throttle.finish(d_rows[row][-1], d_kernel[row][-1], d_block)
        d_block = tf.cast(d_block, features.dtype)
        d_features.append(tf.reshape(d_block, tf.shape(features[start:stop])))
    d_gates = tf.concat([tf.concat(blocks, axis=0) for blocks in d_rows], axis=-1)
    d_kernel = tf.stack([tf.add_n(blocks) for blocks in d_kernel])
    d_kernel = tf.reshape(d_kernel, [size, channels, size, filters])
    d_kernel = tf.reverse(tf.transpose(d_kernel, [0, 2, 1, 3]), [0, 1])
    return tf.concat(d_features, axis=0), window.reverse(d_gates), d_kernel


def _iterate_blocks(lines):
    """Yields (start, stop) of each block of lines of an [H, N, W, ...] map."""
    height = get_size(lines, 0)
    if None in (lines.shape[0], lines.shape[2]):
        count = 4
    else:
        count = max(1, round(lines.shape[0] * lines.shape[2] / BLOCK_PIXELS))
        count = min(count, height)
    for block in range(count):
        yield height * block // count, height * (block + 1) // count


def _add(total, product):
    product = _to_float32(product)
    return product if total is None else total + product


def _to_float32(tensor):
    """Casts a half-precision term to float32, in which a few of them are added up."""
    return tf.cast(tensor, at_least_float32(tensor.dtype.name))
