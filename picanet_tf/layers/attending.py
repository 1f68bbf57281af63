"""The attending operations of PiCANet, Eq. 2, 3 and 5, as pure functions.

This module alone knows in which order a window is walked, what lies outside the
map and where a dilated tap falls:

* A window is walked row by row; position ``i = row * K + column``, so that its
  centre is ``i = (K * K - 1) / 2``.
* A local window is centred on its pixel; positions outside the map are zero.
* The global grid is the same for every pixel and is centred on the map.

Every function has two implementations of the same mathematics. ``"patches"`` is
`tf.image.extract_patches`, to be read beside the equations. ``"fused"`` never holds
the K * K-fold patch tensor, neither in the forward nor in the backward pass.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

IMPLEMENTATIONS = ("patches", "fused")


def global_grid(size: int, kernel_size: int, dilation_rate: int) -> slice:
    """Positions of the global grid along one side of a map, centred on it.

    Args:
        size: length of the map's side, in positions.
        kernel_size: number of grid positions along that side.
        dilation_rate: distance of neighbouring grid positions.

    Returns:
        A slice that picks the ``kernel_size`` positions; 28, 10, 3 gives 0, 3, ..., 27.

    Raises:
        ValueError: the grid is longer than the map.
    """
    extent = (kernel_size - 1) * dilation_rate + 1
    if extent > size:
        raise ValueError(
            f"A grid of kernel_size={kernel_size} and dilation_rate={dilation_rate} "
            f"spans {extent} positions and does not fit a map of {size}."
        )
    offset = (size - extent) // 2
    return slice(offset, offset + extent, dilation_rate)


def local_window(position: int, kernel_size: int, dilation_rate: int) -> range:
    """Positions of a pixel's local window along one side of a map.

    Args:
        position: the pixel's, along that side.
        kernel_size: number of window positions along that side, odd.
        dilation_rate: distance of neighbouring window positions.

    Returns:
        The ``kernel_size`` positions, centred on the pixel's; those below 0 or beyond
        the map count as zero. 5, 7, 2 gives -1, 1, ..., 11.
    """
    reach = _margin(kernel_size, dilation_rate)
    return range(position - reach, position + reach + 1, dilation_rate)


def global_attention_pool(
    features, attention, *, kernel_size, dilation_rate, implementation="fused"
):
    """Attend to a global grid of positions (Eq. 2).

    Args:
        features: [N, H, W, C] float; H and W static.
        attention: [N, H, W, K*K] float, the weights of the grid positions, row-major;
            from a softmax, but any values are pooled alike.
        kernel_size: K, the grid's positions along each side.
        dilation_rate: distance of neighbouring grid positions.
        implementation: ``"patches"`` or ``"fused"``.

    Returns:
        [N, H, W, C]: at each pixel ``sum_i attention_i * features_i``.

    Raises:
        ValueError: the grid does not fit the map, the attention does not have K*K
            channels, or the implementation is unknown.
    """
    _check(implementation, kernel_size, attention, dilation_rate)
    height, width, channels = features.shape[1:]
    if height is None or width is None:
        raise ValueError(
            "Global attention needs a map of static height and width. "
            f"Received: features.shape={features.shape}"
        )
    rows = global_grid(height, kernel_size, dilation_rate)
    columns = global_grid(width, kernel_size, dilation_rate)
    positions = kernel_size * kernel_size
    if implementation == "patches":
        # One window, as large as the grid: extract_patches returns one patch.
        context = tf.image.extract_patches(
            features[:, rows.start : rows.stop, columns.start : columns.stop],
            sizes=[1, kernel_size, kernel_size, 1],
            strides=[1, 1, 1, 1],
            rates=[1, dilation_rate, dilation_rate, 1],
            padding="VALID",
        )
    else:
        context = features[:, rows, columns]
    context = tf.reshape(context, [-1, positions, channels])
    weights = tf.reshape(attention, [-1, height * width, positions])
    pooled = tf.matmul(weights, context)
    return tf.reshape(pooled, [-1, height, width, channels])


def local_attention_pool(
    features, attention, *, kernel_size, dilation_rate, implementation="fused"
):
    """Attend to the window around each pixel by weighted average (Eq. 3).

    Args:
        features: [N, H, W, C] float.
        attention: [N, H, W, K*K] float, the weights of the window's positions,
            row-major; from a softmax, but any values are pooled alike.
        kernel_size: K, odd.
        dilation_rate: distance of neighbouring window positions.
        implementation: ``"patches"`` or ``"fused"``.

    Returns:
        [N, H, W, C]: at each pixel ``sum_i attention_i * features_i``.

    Raises:
        ValueError: an even window, an attention without K*K channels, or an unknown
            implementation.
    """
    _check(implementation, kernel_size, attention, dilation_rate, odd=True)
    if implementation == "fused":
        window = _Window(kernel_size, dilation_rate, strides=1)
        return _fused_pool(features, attention, window)
    patches = _local_patches(features, kernel_size, dilation_rate, strides=1)
    return tf.reduce_sum(patches * attention[..., tf.newaxis], axis=3)


def attention_conv(
    features,
    gates,
    kernel,
    bias=None,
    *,
    dilation_rate,
    strides=1,
    implementation="fused",
):
    """Convolve, each position of each pixel's window behind a gate (Eq. 5).

    Args:
        features: [N, H, W, C] float.
        gates: [N, H', W', K*K] float, row-major, from a sigmoid; of the output's size,
            H' = ceil(H / strides), the window of output (y, x) centred on
            (y * strides, x * strides).
        kernel: [K, K, C, filters] float, K odd.
        bias: [filters] float, or None.
        dilation_rate: distance of neighbouring window positions.
        strides: step of the window over the map.
        implementation: ``"patches"`` or ``"fused"``.

    Returns:
        [N, H', W', filters]: at each pixel ``sum_i gates_i * features_i W_i + b``.

    Raises:
        ValueError: an even window, gates without K*K channels or not of the output's
            size, or an unknown implementation.
    """
    kernel_size = kernel.shape[0]
    _check(implementation, kernel_size, gates, dilation_rate, odd=True)
    for axis in (1, 2):
        size, given = features.shape[axis], gates.shape[axis]
        if None not in (size, given) and -(-size // strides) != given:
            raise ValueError(
                "`gates` must have the output's size, the map's divided by `strides` "
                f"and rounded up. Received: features.shape={features.shape}, "
                f"gates.shape={gates.shape}, strides={strides}"
            )
    if implementation == "fused":
        window = _Window(kernel_size, dilation_rate, strides)
        outputs = _fused_conv(features, gates, kernel, window)
    else:
        patches = _local_patches(features, kernel_size, dilation_rate, strides)
        gated = patches * gates[..., tf.newaxis]
        outputs = tf.tensordot(gated, _as_matrices(kernel), axes=[[3, 4], [0, 1]])
    return outputs if bias is None else outputs + bias


def _check(implementation, kernel_size, attention, dilation_rate, odd=False):
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(
            f"`implementation` must be one of {IMPLEMENTATIONS}. "
            f"Received: implementation={implementation!r}"
        )
    if odd and kernel_size % 2 == 0:
        raise ValueError(
            "`kernel_size` must be odd, so that the window has a centre. "
            f"Received: kernel_size={kernel_size}"
        )
    if dilation_rate < 1:
        raise ValueError(f"`dilation_rate` must be positive. Received: {dilation_rate}")
    if attention.shape[-1] != kernel_size**2:
        raise ValueError(
            "The attention must have one channel for each of the K*K positions. "
            f"Received: kernel_size={kernel_size}, shape={attention.shape}"
        )


def _local_patches(features, kernel_size, dilation_rate, strides):
    """[N, H, W, C] -> [N, H', W', K*K, C], positions outside the map zero."""
    patches = tf.image.extract_patches(
        _pad(features, kernel_size, dilation_rate),
        sizes=[1, kernel_size, kernel_size, 1],
        strides=[1, strides, strides, 1],
        rates=[1, dilation_rate, dilation_rate, 1],
        padding="VALID",
    )
    shape = tf.shape(patches)
    return tf.reshape(
        patches,
        [shape[0], shape[1], shape[2], kernel_size**2, features.shape[-1]],
    )


def _as_matrices(kernel):
    """[K, K, C, filters] -> [K*K, C, filters], W_i of Eq. 5."""
    return tf.reshape(kernel, [kernel.shape[0] ** 2, *kernel.shape[2:]])


def _margin(kernel_size, dilation_rate):
    """How far a window reaches beyond its centre, in positions."""
    return dilation_rate * (kernel_size - 1) // 2


def _pad(features, kernel_size, dilation_rate):
    margin = _margin(kernel_size, dilation_rate)
    return tf.pad(features, [[0, 0], [margin, margin], [margin, margin], [0, 0]])


# The fused forms walk the window one row of K taps at a time: [N, H', W', K, C] is
# gathered, a K-th of the patches, used, and gathered again in the backward pass
# instead of being kept. `_after` keeps the executor from running the rows side by
# side, which would hold all of them at once.


class _Window(NamedTuple):
    kernel_size: int
    dilation_rate: int
    strides: int

    def pad(self, features):
        return _pad(features, self.kernel_size, self.dilation_rate)

    def row_of(self, attention, row):
        """The weights of one window row: [N, H', W', K, 1]."""
        first = row * self.kernel_size
        return attention[..., first : first + self.kernel_size, tf.newaxis]

    def taps(self, padded, row, height, width):
        """The features that one window row meets: [N, H', W', K, C]."""
        start = row * self.dilation_rate
        stop = start + (height - 1) * self.strides + 1
        lines = padded[:, start : stop : self.strides]
        x = tf.range(width)[:, tf.newaxis] * self.strides
        return tf.gather(lines, x + self._columns(), axis=2)

    def add_taps(self, taps, row, padded_height, padded_width):
        """The transpose of `taps`: what arrives at each position of the padded map."""
        n, height, width, size, channels = _shape(taps)
        # Position p receives from tap k of output x where p = x * strides + k * rate.
        # That is a gather again; where there is no such x, of a zero past the end.
        distance = tf.range(padded_width)[:, tf.newaxis] - self._columns()
        x = distance // self.strides
        exists = (distance >= 0) & (distance % self.strides == 0) & (x < width)
        source = tf.where(exists, x * size + tf.range(size), width * size)
        flat = tf.reshape(taps, [n, height, width * size, channels])
        flat = tf.pad(flat, [[0, 0], [0, 0], [0, 1], [0, 0]])
        lines = tf.reduce_sum(tf.gather(flat, source, axis=2), axis=3)
        return self._add_lines(lines, row, padded_height)

    def unpad(self, padded):
        margin = _margin(self.kernel_size, self.dilation_rate)
        return padded[:, margin:-margin, margin:-margin] if margin else padded

    def _columns(self):
        return tf.range(self.kernel_size) * self.dilation_rate

    def _add_lines(self, lines, row, padded_height):
        start = row * self.dilation_rate
        if self.strides > 1:
            n, height, width, channels = _shape(lines)
            gaps = [[0, 0], [0, 0], [0, self.strides - 1], [0, 0], [0, 0]]
            lines = tf.pad(lines[:, :, tf.newaxis], gaps)
            lines = tf.reshape(lines, [n, height * self.strides, width, channels])
            lines = lines[:, : (height - 1) * self.strides + 1]
        after = padded_height - start - _size(lines, 1)
        return tf.pad(lines, [[0, 0], [start, after], [0, 0], [0, 0]])


def _fused_pool(features, attention, window):
    @tf.custom_gradient
    def pool(features, attention):
        height, width = _size(attention, 1), _size(attention, 2)
        padded = window.pad(features)
        pooled = None
        for row in range(window.kernel_size):
            taps = window.taps(_after(padded, pooled), row, height, width)
            weighted = tf.reduce_sum(taps * window.row_of(attention, row), axis=3)
            pooled = _add(pooled, weighted)

        def gradient(upstream):
            padded = window.pad(features)
            padded_height, padded_width = _size(padded, 1), _size(padded, 2)
            d_pooled = upstream[:, :, :, tf.newaxis]
            d_padded, d_attention = None, []
            for row in range(window.kernel_size):
                done = (d_padded, d_attention[-1:])
                taps = window.taps(_after(padded, done), row, height, width)
                d_attention.append(tf.reduce_sum(d_pooled * taps, axis=-1))
                d_taps = _after(d_pooled, done) * window.row_of(attention, row)
                d_padded = _add(
                    d_padded,
                    window.add_taps(d_taps, row, padded_height, padded_width),
                )
            return window.unpad(d_padded), tf.concat(d_attention, axis=-1)

        return pooled, gradient

    return pool(features, attention)


def _fused_conv(features, gates, kernel, window):
    @tf.custom_gradient
    def conv(features, gates, kernel):
        size, _, channels, filters = kernel.shape
        n, height, width, _ = _shape(gates)
        padded = window.pad(features)
        outputs = None
        for row in range(size):
            taps = window.taps(_after(padded, outputs), row, height, width)
            gated = tf.reshape(taps * window.row_of(gates, row), [-1, size * channels])
            matrix = tf.reshape(kernel[row], [size * channels, filters])
            outputs = _add(outputs, tf.matmul(gated, matrix))

        def gradient(upstream):
            padded = window.pad(features)
            padded_height, padded_width = _size(padded, 1), _size(padded, 2)
            d_outputs = tf.reshape(upstream, [-1, filters])
            d_padded, d_gates, d_kernel = None, [], []
            for row in range(size):
                done = (d_padded, d_gates[-1:], d_kernel[-1:])
                taps = window.taps(_after(padded, done), row, height, width)
                row_gates = window.row_of(gates, row)
                gated = tf.reshape(taps * row_gates, [-1, size * channels])
                d_kernel.append(tf.matmul(gated, d_outputs, transpose_a=True))
                matrix = tf.reshape(kernel[row], [size * channels, filters])
                d_gated = tf.matmul(_after(d_outputs, done), matrix, transpose_b=True)
                d_gated = tf.reshape(d_gated, [n, height, width, size, channels])
                d_gates.append(tf.reduce_sum(d_gated * taps, axis=-1))
                d_padded = _add(
                    d_padded,
                    window.add_taps(
                        d_gated * row_gates, row, padded_height, padded_width
                    ),
                )
            return (
                window.unpad(d_padded),
                tf.concat(d_gates, axis=-1),
                tf.reshape(tf.stack(d_kernel), kernel.shape),
            )

        return tf.reshape(outputs, [n, height, width, filters]), gradient

    return conv(features, gates, tf.convert_to_tensor(kernel))


def _add(total, term):
    return term if total is None else total + term


def _after(tensor, others):
    """`tensor`, to be read only when `others` have been computed."""
    others = [other for other in tf.nest.flatten(others) if other is not None]
    if not others:
        return tensor
    with tf.control_dependencies(others):
        return tf.identity(tensor)


def _shape(tensor):
    return [_size(tensor, axis) for axis in range(tensor.shape.rank)]


def _size(tensor, axis):
    static = tensor.shape[axis]
    return tf.shape(tensor)[axis] if static is None else static
