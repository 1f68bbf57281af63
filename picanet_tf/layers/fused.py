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
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf

# Pixels of an image in a block: enough for matrix products at full speed, few enough
# for the taps to stay in the cache.
BLOCK_PIXELS = 1600
# Steps (of one window row in one block) that may run concurrently: while one waits for
# memory or synchronizes its threads, the other computes.
CONCURRENT_STEPS = 2

_differentiable = contextvars.ContextVar("differentiable", default=True)


@contextlib.contextmanager
def inference_only() -> Iterator[None]:
    """Leaves the gradients out of graphs that are traced in this context.

    TensorFlow registers the gradients of a graph under a name, for good, and with them
    the graph: a process that loads many networks would keep the graphs of all of them.
    The results are the same.
    """
    token = _differentiable.set(False)
    try:
        yield
    finally:
        _differentiable.reset(token)


def with_gradient(forward):
    """`tf.custom_gradient`, except within `inference_only`."""
    if _differentiable.get():
        return tf.custom_gradient(forward)
    return lambda *arguments: forward(*arguments)[0]


class Window(NamedTuple):
    """A K x K window centred on its pixel, its positions numbered row by row."""

    kernel_size: int
    dilation_rate: int

    @property
    def margin(self) -> int:
        """Distance from the window's centre to its edge."""
        return self.dilation_rate * (self.kernel_size - 1) // 2

    def gather_columns(self, lines):
        """Gathers each pixel's window columns: [H, N, W, C] -> [H, N, W, K, C]."""
        padded = pad_zeros(lines, 2, self.margin, self.margin)
        columns = tf.range(self.kernel_size) * self.dilation_rate
        x = tf.range(get_size(lines, 2))[:, tf.newaxis]
        return tf.gather(padded, x + columns, axis=2)

    def scatter_columns(self, taps):
        """The transpose of `gather_columns`: [H, N, W, K, C] -> [H, N, W, C]."""
        span, shifted = 2 * self.margin, []
        for column in range(self.kernel_size):
            start = column * self.dilation_rate
            shifted.append(pad_zeros(taps[:, :, :, column], 2, start, span - start))
        width = get_size(taps, 2)
        return tf.add_n(shifted)[:, :, self.margin : self.margin + width]

    def split_rows(self, attention):
        """Splits [N, H, W, K*K] into the K window rows, each [H, N, W, K, 1]."""
        rows = tf.split(swap_batch_and_lines(attention), self.kernel_size, axis=-1)
        return [row[..., tf.newaxis] for row in rows]

    def row_offset(self, row: int) -> int:
        """How many lines below its pixel a window row lies."""
        return row * self.dilation_rate - self.margin

    def pad_lines(self, lines):
        """Adds zero lines above and below, as many as the window's margin."""
        return pad_zeros(lines, 0, self.margin, self.margin)

    def shift_lines(self, lines, offset):
        """Shifts lines up by `offset`, filling with zeros."""
        start = self.margin + offset
        return self.pad_lines(lines)[start : start + get_size(lines, 0)]

    def iterate_blocks(self, lines):
        """Yields (start, stop) of each block of lines of an [H, N, W, ...] map."""
        height = get_size(lines, 0)
        if None in (lines.shape[0], lines.shape[2]):
            count = 4
        else:
            count = max(1, round(lines.shape[0] * lines.shape[2] / BLOCK_PIXELS))
            count = min(count, height)
        for block in range(count):
            yield height * block // count, height * (block + 1) // count


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
        rows, outputs = window.split_rows(gates), []
        throttle = _Throttle()
        matrices = tf.unstack(tf.reshape(kernel, [size, *flat[1:], filters]))
        for start, stop in window.iterate_blocks(rows[0]):
            total = None
            for row, row_gates in enumerate(rows):
                first = start + row * window.dilation_rate
                row_taps = throttle.wait(taps)[first : first + stop - start]
                gated = tf.reshape(row_taps * row_gates[start:stop], flat)
                total = _add(total, tf.matmul(gated, matrices[row]))
                throttle.finish(total)
            outputs.append(total)

        def backward(upstream):
            d_kernel = [[] for _ in range(size)]

            def row_gradients(row, row_taps, row_gates, d_outputs):
                d_outputs = tf.reshape(d_outputs, [-1, filters])
                gated = tf.reshape(row_taps * row_gates, flat)
                d_kernel[row].append(tf.matmul(gated, d_outputs, transpose_a=True))
                with tf.control_dependencies(d_kernel[row][-1:]):
                    d_gated = tf.matmul(d_outputs, matrices[row], transpose_b=True)
                d_gated = tf.reshape(d_gated, tf.shape(row_taps))
                d_gates = tf.reduce_sum(d_gated * row_taps, axis=-1)
                return d_gates, d_gated * row_gates

            d_features, d_gates = _compute_gradients(
                window, features, gates, swap_batch_and_lines(upstream), row_gradients
            )
            d_kernel = [tf.add_n(blocks) for blocks in d_kernel]
            return d_features, d_gates, tf.reshape(tf.stack(d_kernel), kernel.shape)

        shape = [*(get_size(rows[0], axis) for axis in range(3)), filters]
        if rows[0].shape[0] and rows[0].shape[2]:
            shape[1] = -1  # At most one dimension, the batch, stays unknown.
        outputs = tf.reshape(tf.concat(outputs, axis=0), shape)
        return swap_batch_and_lines(outputs), backward

    return forward(features, gates, kernel)


def _compute_gradients(window: Window, features, attention, upstream, row_gradients):
    """Computes the gradients of the features and the attention, block by block.

    Args:
        window: the window.
        features: [N, H, W, C].
        attention: [N, H, W, K*K].
        upstream: [H, N, W, ...], the gradient of the output lines.
        row_gradients: a function (row, row_taps, weights, upstream) -> (d_weights,
            d_taps) for h lines of the features. It is given the number of a window row,
            the taps of these lines, and the row's weights and the upstream gradients at
            the pixels whose windows have that row on these lines. It returns the
            gradients of the weights, [h, N, W, K], and of the taps, [h, N, W, K, C].

    Returns:
        (d_features [N, H, W, C], d_attention [N, H, W, K*K]).
    """
    taps = window.gather_columns(swap_batch_and_lines(features))
    upstream = window.pad_lines(upstream)
    rows = [window.pad_lines(row) for row in window.split_rows(attention)]
    d_features, d_rows, throttle = [], [[] for _ in rows], _Throttle()
    for start, stop in window.iterate_blocks(taps):
        d_block = []
        for row, weights in enumerate(rows):
            # The window that has this row on line s has its centre on line s - offset,
            # to which the padding adds the margin.
            first = start + window.margin - window.row_offset(row)
            pixels = slice(first, first + stop - start)
            d_weights, d_taps = row_gradients(
                row,
                throttle.wait(taps)[start:stop],
                weights[pixels],
                throttle.wait(upstream)[pixels],
            )
            d_rows[row].append(d_weights)
            d_block.append(d_taps)
            throttle.finish(d_weights, d_taps)
        d_features.append(window.scatter_columns(tf.add_n(d_block)))
        throttle.finish(d_features[-1])
    d_attention = [
        window.shift_lines(tf.concat(blocks, axis=0), window.row_offset(row))
        for row, blocks in enumerate(d_rows)
    ]
    return (
        swap_batch_and_lines(tf.concat(d_features, axis=0)),
        swap_batch_and_lines(tf.concat(d_attention, axis=-1)),
    )


def swap_batch_and_lines(tensor):
    """[N, H, ...] <-> [H, N, ...]; copies nothing if N is 1."""
    return tf.transpose(tensor, [1, 0, *range(2, tensor.shape.rank)])


def pad_zeros(tensor, axis: int, before: int, after: int):
    """Pads an axis with zeros, several times as fast as `tf.pad`."""
    if isinstance(before, int) and isinstance(after, int) and before + after == 0:
        return tensor

    def make_zeros(length):
        if not tensor.shape.is_fully_defined():
            # If the size of the zeros were computed, TensorFlow Lite would not know it,
            # nor any size that depends on it, when it plans its memory.
            lines = tf.zeros([length], tf.int32)
            return tf.zeros_like(tf.gather(tensor, lines, axis=axis))
        shape = list(tensor.shape)
        return tf.zeros([*shape[:axis], length, *shape[axis + 1 :]], tensor.dtype)

    return tf.concat([make_zeros(before), tensor, make_zeros(after)], axis)


def _add(total, term):
    return term if total is None else total + term


def get_size(tensor, axis: int):
    static = tensor.shape[axis]
    return tf.shape(tensor)[axis] if static is None else static
