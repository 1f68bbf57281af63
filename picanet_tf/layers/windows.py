"""The windows of local attention, on maps whose lines come first.

In this module, a *line* is a row of the map; a *row* is a row of the window. Maps are
[H, N, W, ...], where a slice of consecutive lines is a view and costs nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


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

    def split_rows(self, weights):
        """Splits [H, N, W, K*K] into the K window rows, each [H, N, W, K, 1]."""
        rows = tf.split(weights, self.kernel_size, axis=-1)
        return [row[..., tf.newaxis] for row in rows]

    def reverse(self, weights):
        """Moves each weight to the pixel that it weights, [H, N, W, K*K] -> the same.

        From there, the pixel that had the weight lies at the opposite window position,
        K*K - 1 - p instead of p. What lay outside of the map is lost; all else is
        restored by a second call.
        """
        margin, height, width = self.margin, get_size(weights, 0), get_size(weights, 2)
        maps = tf.transpose(weights, [3, 0, 1, 2])
        maps = pad_zeros(pad_zeros(maps, 1, margin, margin), 3, margin, margin)
        moved = []
        for position in reversed(range(self.kernel_size**2)):
            row, column = divmod(position, self.kernel_size)
            top = margin - self.row_offset(row)
            left = margin - self.row_offset(column)
            moved.append(maps[position, top : top + height, :, left : left + width])
        return tf.stack(moved, axis=-1)

    def row_offset(self, row: int) -> int:
        """Returns how many lines below its pixel a window row lies."""
        return row * self.dilation_rate - self.margin

    def pad_lines(self, lines):
        """Adds zero lines above and below, as many as the window's margin."""
        return pad_zeros(lines, 0, self.margin, self.margin)

    def shift_lines(self, lines, offset):
        """Shifts lines up by `offset`, filling with zeros."""
        start = self.margin + offset
        return self.pad_lines(lines)[start : start + get_size(lines, 0)]


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
            indices = tf.zeros([length], tf.int32)
            return tf.zeros_like(tf.gather(tensor, indices, axis=axis))
        shape = list(tensor.shape)
        return tf.zeros([*shape[:axis], length, *shape[axis + 1 :]], tensor.dtype)

    return tf.concat([make_zeros(before), tensor, make_zeros(after)], axis)


def get_size(tensor, axis: int):
    """Returns the static size of an axis, or a scalar tensor if it is unknown."""
    static = tensor.shape[axis]
    return tf.shape(tensor)[axis] if static is None else static
