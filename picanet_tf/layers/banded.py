"""Eq. 3 (LAP) as products of banded matrices, forward and backward.

A line of the map is cut into *tiles* of some 30 pixels. All taps of the windows of a
tile lie in its *surroundings*: K lines, each as long as the tile and a margin on both
sides. So the weighted sums of a tile's windows are one matrix product,

    [tile, K * reach] x [K * reach, C],

whose left side, the *band*, holds in row x the K*K attention weights of pixel x, at the
window's columns, and zeros elsewhere. Most of what is multiplied is zero, and yet the
product is several times as fast as K*K weighted sums, since it runs on the processor's
matrix units and reads each feature K times from memory instead of K*K times. In half
precision, its sums are float32.

The band is built by reshaping instead of scattering: with one zero appended to each
row, and the rows put end to end, each row of the band starts one position before the
next window.

In this module, maps are [H, N, W, ...], where a slice of consecutive lines is a view.
The band has K * reach / (K*K) times as many values as the attention, about 6 times for
K = 7 and dilation 2, and the surroundings K * reach / tile = 10 times as many as the
features. So the forward pass gathers the surroundings of one strip of lines at a time,
which takes no longer. The backward pass computes both again, which takes less time than
a product: stored, they would be the largest tensors of a training step.

A feature that is not finite makes whole tiles NaN, not only the pixels whose windows
contain it, since it is multiplied by the zeros of the band, too.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from picanet_tf.layers.gradients import with_gradient
from picanet_tf.layers.windows import (
    Window,
    get_size,
    pad_zeros,
    swap_batch_and_lines,
)

# Maximum pixels per tile: shorter tiles spend more on margins, longer ones on zeros.
TILE = 32
# Approximate number of values of an image's surroundings in a strip: 8 MB in float32.
STRIP = 2**21


def pool(features, attention, window: Window):
    """Eq. 3: [N, H, W, C], [N, H, W, K*K] -> [N, H, W, C]."""
    tiling = _Tiling.of(window, get_size(features, 2))
    height = get_size(features, 1)

    @with_gradient
    def forward(features, attention):
        widened = tiling.widen(swap_batch_and_lines(features))
        band = tiling.make_band(swap_batch_and_lines(attention))
        strips = [
            tf.matmul(band[top:bottom], tiling.surround(widened, top, bottom))
            for top, bottom in tiling.cut_strips(features)
        ]
        pooled = tiling.join(tf.concat(strips, axis=0))

        def backward(upstream):
            upstream = tiling.split(swap_batch_and_lines(upstream))
            widened = tiling.widen(swap_batch_and_lines(features))
            around = tiling.surround(widened, 0, height)
            d_band = tf.matmul(upstream, around, transpose_b=True)
            d_attention = swap_batch_and_lines(tiling.read_band(d_band))
            band = tiling.make_band(swap_batch_and_lines(attention))
            d_lines = tf.matmul(
                tiling.transpose_rows(band),
                tiling.stack_upstream(upstream),
                transpose_a=True,
            )
            return swap_batch_and_lines(tiling.overlap_add(d_lines)), d_attention

        return swap_batch_and_lines(pooled), backward

    return forward(features, attention)


class _Tiling(NamedTuple):
    """How lines of `width` pixels are cut into `count` tiles of `tile` pixels."""

    window: Window
    width: int | tf.Tensor
    count: int | tf.Tensor
    tile: int

    @classmethod
    def of(cls, window: Window, width) -> _Tiling:
        if not isinstance(width, int):
            return cls(window, width, -(-width // TILE), TILE)
        count = max(1, -(-width // TILE))
        return cls(window, width, count, max(1, -(-width // count)))

    @property
    def reach(self) -> int:
        """Length of the lines around a tile."""
        return self.tile + 2 * self.window.margin

    def split(self, lines):
        """[H, N, W, C] -> [H, N, count, tile, C], zeros after the last pixel."""
        lines = pad_zeros(lines, 2, 0, self.count * self.tile - self.width)
        shape = [get_size(lines, 0), -1, self.count, self.tile, get_size(lines, 3)]
        return tf.reshape(lines, shape)

    def join(self, tiles):
        """The inverse of `split`."""
        shape = [get_size(tiles, 0), -1, self.count * self.tile, get_size(tiles, 4)]
        return tf.reshape(tiles, shape)[:, :, : self.width]

    def cut_strips(self, features) -> list[tuple]:
        """Returns (first line, line after the last) of each strip of [N, H, W, C].

        A map of unknown size is one strip.
        """
        height, channels = get_size(features, 1), features.shape[3]
        if not all(isinstance(n, int) for n in (height, self.count, channels)):
            return [(0, height)]
        line = self.count * self.window.kernel_size * self.reach * channels
        lines = max(1, STRIP // max(1, line))
        tops = range(0, max(1, height), lines)  # One strip of no lines, if it has none.
        return [(top, min(top + lines, height)) for top in tops]

    def widen(self, lines):
        """[H, N, W, C] -> [H + 2 margins, N, count, reach, C], zeros outside."""
        margin = self.window.margin
        after = margin + self.count * self.tile - self.width
        padded = pad_zeros(self.window.pad_lines(lines), 2, margin, after)
        starts = tf.range(self.count)[:, tf.newaxis] * self.tile
        return tf.gather(padded, starts + tf.range(self.reach), axis=2)

    def surround(self, widened, top, bottom):
        """Surroundings of the lines from top to bottom, [.., count, K * reach, C]."""
        return self._stack_rows([widened] * self.window.kernel_size, top, bottom)

    def overlap_add(self, reaches):
        """Adds overlapping reaches up: [H, N, count, reach, C] -> [H, N, W, C]."""
        total, chunks = [], -(-self.reach // self.tile)
        padded = pad_zeros(reaches, 3, 0, chunks * self.tile - self.reach)
        for chunk in range(chunks):
            start = chunk * self.tile
            tiles = padded[:, :, :, start : start + self.tile]
            shape = [get_size(tiles, 0), -1, self.count * self.tile, get_size(tiles, 4)]
            after = (chunks - 1) * self.tile - start
            total.append(pad_zeros(tf.reshape(tiles, shape), 2, start, after))
        margin = self.window.margin
        return tf.add_n(total)[:, :, margin : margin + self.width]

    def make_band(self, attention):
        """[H, N, W, K*K] -> [H, N, count, tile, K * reach]."""
        size, rate = self.window
        tiles = self.split(attention)
        # The weights of a window row, with zeros between its columns and behind them.
        rows = tf.reshape(tiles, [-1, self.tile * size * size, 1])
        rows = tf.reshape(
            pad_zeros(rows, 2, 0, rate - 1), [-1, self.tile * size, size * rate]
        )[..., : 2 * self.window.margin + 1]
        rows = pad_zeros(rows, 2, 0, self.tile - 1)
        # One zero more, so that each pixel's row starts one position later.
        rows = tf.reshape(rows, [-1, self.tile, size * self.reach])
        ends = tf.reshape(
            pad_zeros(rows, 2, 0, 1), [-1, self.tile * (size * self.reach + 1)]
        )[:, : self.tile * size * self.reach]
        shape = [get_size(tiles, 0), -1, self.count, self.tile, size * self.reach]
        return tf.reshape(ends, shape)

    def read_band(self, band):
        """The transpose of `make_band`: [.., tile, K * reach] -> [H, N, W, K*K]."""
        size, rate = self.window
        ends = tf.reshape(band, [-1, self.tile * size * self.reach])
        rows = tf.reshape(
            pad_zeros(ends, 1, 0, self.tile), [-1, self.tile, size * self.reach + 1]
        )[..., :-1]
        rows = tf.reshape(rows, [-1, self.tile, size, self.reach])
        rows = rows[..., : 2 * self.window.margin + 1 : rate]
        shape = [get_size(band, 0), -1, self.count, self.tile, size * size]
        return self.join(tf.reshape(rows, shape))

    def transpose_rows(self, band):
        """Stacks, for each line, the bands of the lines whose windows contain it.

        Returns:
            [.., K * tile, reach].
        """
        padded = self.window.pad_lines(band)
        rows = tf.split(padded, self.window.kernel_size, axis=-1)
        return self._stack_rows(rows[::-1], 0, get_size(band, 0))

    def stack_upstream(self, upstream):
        """Stacks, for each line, the gradients of the lines whose windows contain it.

        Returns:
            [.., K * tile, C], from [.., tile, C].
        """
        padded = self.window.pad_lines(upstream)
        padded = [padded] * self.window.kernel_size
        return self._stack_rows(padded, 0, get_size(upstream, 0))

    def _stack_rows(self, padded, top, bottom):
        """Concatenates K shifted views of padded lines, one for each window row."""
        offsets = [i * self.window.dilation_rate for i in range(len(padded))]
        views = [
            row[top + offset : bottom + offset]
            for row, offset in zip(padded, offsets, strict=True)
        ]
        return tf.concat(views, axis=3)
