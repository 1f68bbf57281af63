"""Eq. 3 and 5 without the patch tensor, forward or backward.

The idea: with the lines leading, [H, N, W, ...], a run of lines is a view and costs
nothing. The window's K columns are gathered once, [H, N, W, K, C] (`expand`); what
window row r meets at some lines is then the same array, some lines further on. The
equations are worked off in blocks of lines that stay in the processor's cache, row
after row of the window, and the backward pass gathers the taps again instead of
keeping them.

Forward, a block is of output lines. Backward, it is of lines of the features: what all
window rows send to them is added up there and then.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

# Of an image, in a block: enough for matrix products at full rate, few enough for a
# block's taps to stay in the cache.
BLOCK_PIXELS = 1600
# Window rows that may be under way at once: while one waits for memory, or its threads
# for one another, the other computes.
AT_ONCE = 2


class Window(NamedTuple):
    """A K x K window, walked row by row, centred on its pixel."""

    kernel_size: int
    dilation_rate: int

    @property
    def margin(self) -> int:
        """How far the window reaches beyond its centre, in positions."""
        return self.dilation_rate * (self.kernel_size - 1) // 2

    def expand(self, lines):
        """The window's columns at each pixel: [H, N, W, C] -> [H, N, W, K, C]."""
        padded = _with_zeros(lines, 2, self.margin, self.margin)
        columns = tf.range(self.kernel_size) * self.dilation_rate
        x = tf.range(_size(lines, 2))[:, tf.newaxis]
        return tf.gather(padded, x + columns, axis=2)

    def collapse(self, taps):
        """The transpose of `expand`: what arrives at each position of the lines."""
        reach, arriving = 2 * self.margin, []
        for column in range(self.kernel_size):
            start = column * self.dilation_rate
            arrives = _with_zeros(taps[:, :, :, column], 2, start, reach - start)
            arriving.append(arrives)
        width = _size(taps, 2)
        return tf.add_n(arriving)[:, :, self.margin : self.margin + width]

    def rows(self, attention):
        """Attention [N, H, W, K*K] as K window rows of [H, N, W, K, 1]."""
        rows = tf.split(lines_first(attention), self.kernel_size, axis=-1)
        return [row[..., tf.newaxis] for row in rows]

    def offset(self, row: int) -> int:
        """How many lines below its pixel a window row lies."""
        return row * self.dilation_rate - self.margin

    def pad_lines(self, lines):
        """Zero lines above and below, as far as the window reaches."""
        return _with_zeros(lines, 0, self.margin, self.margin)

    def move_lines(self, lines, by):
        """Lines of the same number, each from `by` lines below; zeros from outside."""
        start = self.margin + by
        return self.pad_lines(lines)[start : start + _size(lines, 0)]

    def blocks(self, lines):
        """(start, stop) of the blocks of lines of an [H, N, W, ...] map."""
        height = _size(lines, 0)
        if None in (lines.shape[0], lines.shape[2]):
            count = 4
        else:
            count = max(1, round(lines.shape[0] * lines.shape[2] / BLOCK_PIXELS))
            count = min(count, height)
        for block in range(count):
            yield height * block // count, height * (block + 1) // count


class _Turns:
    """Has each step wait until the one `AT_ONCE` before it is done.

    Else the executor runs all blocks and rows side by side, and holds all their taps.
    """

    def __init__(self):
        self._steps: list = []

    def read(self, tensor):
        """`tensor`, to be read in the step that comes next."""
        if len(self._steps) < AT_ONCE:
            return tensor
        with tf.control_dependencies(self._steps[-AT_ONCE]):
            return tf.identity(tensor)

    def done(self, *results):
        self._steps.append(results)


def pool(features, attention, window: Window):
    """Eq. 3: [N, H, W, C], [N, H, W, K*K] -> [N, H, W, C]."""

    @tf.custom_gradient
    def forward(features, attention):
        taps = window.expand(window.pad_lines(lines_first(features)))
        rows, pooled = window.rows(attention), []
        turns = _Turns()
        for start, stop in window.blocks(rows[0]):
            total = None
            for row, weights in enumerate(rows):
                first = start + row * window.dilation_rate
                met = turns.read(taps)[first : first + stop - start]
                total = _add(total, tf.reduce_sum(met * weights[start:stop], axis=3))
                turns.done(total)
            pooled.append(total)

        def backward(upstream):
            upstream = lines_first(upstream)[:, :, :, tf.newaxis]

            def of_row(row, met, weights, d_pooled):
                return tf.reduce_sum(d_pooled * met, axis=-1), d_pooled * weights

            return _backward(window, features, attention, upstream, of_row)

        return lines_first(tf.concat(pooled, axis=0)), backward

    return forward(features, attention)


def conv(features, gates, kernel, window: Window):
    """Eq. 5: [N, H, W, C], [N, H, W, K*K], [K, K, C, F] -> [N, H, W, F]."""
    size, _, channels, filters = kernel.shape
    flat = [-1, size * channels]

    @tf.custom_gradient
    def forward(features, gates, kernel):
        taps = window.expand(window.pad_lines(lines_first(features)))
        rows, outputs = window.rows(gates), []
        turns = _Turns()
        matrices = tf.unstack(tf.reshape(kernel, [size, *flat[1:], filters]))
        for start, stop in window.blocks(rows[0]):
            total = None
            for row, row_gates in enumerate(rows):
                first = start + row * window.dilation_rate
                met = turns.read(taps)[first : first + stop - start]
                gated = tf.reshape(met * row_gates[start:stop], flat)
                total = _add(total, tf.matmul(gated, matrices[row]))
                turns.done(total)
            outputs.append(total)

        def backward(upstream):
            d_kernel = [[] for _ in range(size)]

            def of_row(row, met, row_gates, d_outputs):
                d_outputs = tf.reshape(d_outputs, [-1, filters])
                gated = tf.reshape(met * row_gates, flat)
                d_kernel[row].append(tf.matmul(gated, d_outputs, transpose_a=True))
                with tf.control_dependencies(d_kernel[row][-1:]):
                    d_gated = tf.matmul(d_outputs, matrices[row], transpose_b=True)
                d_gated = tf.reshape(d_gated, tf.shape(met))
                return tf.reduce_sum(d_gated * met, axis=-1), d_gated * row_gates

            d_features, d_gates = _backward(
                window, features, gates, lines_first(upstream), of_row
            )
            d_kernel = [tf.add_n(blocks) for blocks in d_kernel]
            return d_features, d_gates, tf.reshape(tf.stack(d_kernel), kernel.shape)

        shape = [*(_size(rows[0], axis) for axis in range(3)), filters]
        if rows[0].shape[0] and rows[0].shape[2]:
            shape[1] = -1  # So that only the number of images may be unknown.
        outputs = tf.reshape(tf.concat(outputs, axis=0), shape)
        return lines_first(outputs), backward

    return forward(features, gates, kernel)


def _backward(window: Window, features, attention, upstream, of_row):
    """The gradients of features and attention, from blocks of the features' lines.

    Args:
        upstream: [H, N, W, ...], what arrives at the output lines.
        of_row: (row, met, weights, upstream), the taps of some lines, the weights of
            the window row that meets them and what arrives at the pixels of these
            windows -> the gradients of the weights [h, N, W, K] and the taps.
    """
    taps = window.expand(lines_first(features))
    upstream = window.pad_lines(upstream)
    rows = [window.pad_lines(row) for row in window.rows(attention)]
    d_features, d_rows, turns = [], [[] for _ in rows], _Turns()
    for start, stop in window.blocks(taps):
        arriving = []
        for row, weights in enumerate(rows):
            # Line s is met by the windows of line s - offset, padded by the margin.
            first = start + window.margin - window.offset(row)
            pixels = slice(first, first + stop - start)
            d_weights, d_taps = of_row(
                row,
                turns.read(taps)[start:stop],
                weights[pixels],
                turns.read(upstream)[pixels],
            )
            d_rows[row].append(d_weights)
            arriving.append(d_taps)
            turns.done(d_weights, d_taps)
        d_features.append(window.collapse(tf.add_n(arriving)))
        turns.done(d_features[-1])
    d_attention = [
        window.move_lines(tf.concat(blocks, axis=0), window.offset(row))
        for row, blocks in enumerate(d_rows)
    ]
    return (
        lines_first(tf.concat(d_features, axis=0)),
        lines_first(tf.concat(d_attention, axis=-1)),
    )


def lines_first(tensor):
    """[N, H, ...] <-> [H, N, ...]; of one image, no copy."""
    return tf.transpose(tensor, [1, 0, *range(2, tensor.shape.rank)])


def _with_zeros(tensor, axis: int, before: int, after: int):
    """Zeros on both sides along an axis. Several times as fast as `tf.pad`."""

    def zeros(length):
        if not tensor.shape.is_fully_defined():
            # Of zeros whose size is computed, TensorFlow Lite knows no size before it
            # runs, and of nothing that comes after them: it cannot plan its memory.
            lines = tf.zeros([length], tf.int32)
            return tf.zeros_like(tf.gather(tensor, lines, axis=axis))
        shape = list(tensor.shape)
        return tf.zeros([*shape[:axis], length, *shape[axis + 1 :]], tensor.dtype)

    return tf.concat([zeros(before), tensor, zeros(after)], axis)


def _add(total, term):
    return term if total is None else total + term


def _size(tensor, axis: int):
    static = tensor.shape[axis]
    return tf.shape(tensor)[axis] if static is None else static
