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


def _pad(features, kernel_size, dilation_rate):
    margin = dilation_rate * (kernel_size - 1) // 2
    return tf.pad(features, [[0, 0], [margin, margin], [margin, margin], [0, 0]])


# The fused forms walk the window one row of K taps at a time.  A tap is the padded
# map shifted, a slice.  One row of gated taps is held at once, a K-th of the patches,
# and it is made again in the backward pass instead of being kept.  The control
# dependencies of `_after` keep the executor from running the rows side by side,
# which would hold all of them.


class _Window(NamedTuple):
    kernel_size: int
    dilation_rate: int
    strides: int

    def pad(self, features):
        return _pad(features, self.kernel_size, self.dilation_rate)

    def unpad(self, padded):
        margin = self.dilation_rate * (self.kernel_size - 1) // 2
        return padded[:, margin:-margin, margin:-margin] if margin else padded

    def row(self, padded, row, height):
        """The lines of the padded map that window row `row` meets: [N, H', Wp, C]."""
        return padded[:, self._steps(row, height)]

    def tap(self, lines, column, width):
        """The positions of `lines` that a window column meets: [N, H', W', C]."""
        return lines[:, :, self._steps(column, width)]

    def add_row(self, lines, row, padded_height):
        """The transpose of `row`."""
        return self._scatter(lines, row, padded_height, axis=1)

    def add_tap(self, values, column, padded_width):
        """The transpose of `tap`."""
        return self._scatter(values, column, padded_width, axis=2)

    def channel(self, attention, row, column):
        i = row * self.kernel_size + column
        return attention[..., i : i + 1]

    def _steps(self, position, count):
        start = position * self.dilation_rate
        return slice(start, start + (count - 1) * self.strides + 1, self.strides)

    def _scatter(self, values, position, size, axis):
        steps = self._steps(position, _size(values, axis))
        if self.strides == 1:
            paddings = [[0, 0]] * 4
            paddings[axis] = [steps.start, size - steps.stop]
            return tf.pad(values, paddings)
        shape = [_size(values, i) for i in range(4)]
        shape[axis] = size

        def at(value, otherwise):
            return [value if i == axis else otherwise for i in range(4)]

        return tf.raw_ops.StridedSliceGrad(
            shape=shape,
            begin=at(steps.start, 0),
            end=at(steps.stop, 0),
            strides=at(steps.step, 1),
            dy=values,
            begin_mask=0b1111 - (1 << axis),
            end_mask=0b1111 - (1 << axis),
        )


def _fused_pool(features, attention, window):
    @tf.custom_gradient
    def pool(features, attention):
        height, width = _size(attention, 1), _size(attention, 2)
        columns = range(window.kernel_size)
        padded = window.pad(features)
        pooled = None
        for row in range(window.kernel_size):
            lines = window.row(_after(padded, pooled), row, height)
            terms = [
                window.channel(attention, row, column)
                * window.tap(lines, column, width)
                for column in columns
            ]
            pooled = _add(pooled, *terms)

        def gradient(upstream):
            padded = window.pad(features)
            padded_height, padded_width = _size(padded, 1), _size(padded, 2)
            d_padded, d_attention = None, []
            for row in range(window.kernel_size):
                lines = window.row(_after(padded, d_padded), row, height)
                d_attention += [
                    tf.reduce_sum(upstream * window.tap(lines, column, width), axis=-1)
                    for column in columns
                ]
                d_lines = _add(
                    *[
                        window.add_tap(
                            window.channel(attention, row, column)
                            * _after(upstream, d_padded),
                            column,
                            padded_width,
                        )
                        for column in columns
                    ]
                )
                d_padded = _add(d_padded, window.add_row(d_lines, row, padded_height))
            return window.unpad(d_padded), tf.stack(d_attention, axis=-1)

        return pooled, gradient

    return pool(features, attention)


def _fused_conv(features, gates, kernel, window):
    @tf.custom_gradient
    def conv(features, gates, kernel):
        size = window.kernel_size
        channels, filters = kernel.shape[2:]
        height, width = _size(gates, 1), _size(gates, 2)
        padded = window.pad(features)
        outputs = None
        for row in range(size):
            lines = window.row(_after(padded, outputs), row, height)
            if filters < channels and window.strides == 1:
                # g (f W) = (g f) W: gate the narrower side.
                terms = [
                    window.channel(gates, row, column)
                    * window.tap(_project(lines, kernel[row, column]), column, width)
                    for column in range(size)
                ]
            else:
                gated, _ = _gated_taps(window, lines, gates, row, width)
                terms = [_project(gated, _row_matrix(kernel, row))]
            outputs = _add(outputs, *terms)

        def gradient(upstream):
            padded = window.pad(features)
            padded_height, padded_width = _size(padded, 1), _size(padded, 2)
            flat_upstream = tf.reshape(upstream, [-1, filters])
            d_padded, d_gates, d_kernel = None, [], []
            for row in range(size):
                done = None if row == 0 else (d_padded, d_kernel[-1], d_gates[-1])
                lines = window.row(_after(padded, done), row, height)
                gated, taps = _gated_taps(window, lines, gates, row, width)
                d_kernel.append(
                    tf.matmul(
                        tf.reshape(gated, [-1, size * channels]),
                        flat_upstream,
                        transpose_a=True,
                    )
                )
                d_gated = tf.split(
                    _project(
                        _after(upstream, done), tf.transpose(_row_matrix(kernel, row))
                    ),
                    size,
                    axis=-1,
                )
                d_gates += [
                    tf.reduce_sum(d_tap * tap, axis=-1)
                    for d_tap, tap in zip(d_gated, taps, strict=True)
                ]
                d_lines = _add(
                    *[
                        window.add_tap(
                            d_tap * window.channel(gates, row, column),
                            column,
                            padded_width,
                        )
                        for column, d_tap in enumerate(d_gated)
                    ]
                )
                d_padded = _add(d_padded, window.add_row(d_lines, row, padded_height))
            return (
                window.unpad(d_padded),
                tf.stack(d_gates, axis=-1),
                tf.reshape(tf.stack(d_kernel), kernel.shape),
            )

        return outputs, gradient

    return conv(features, gates, tf.convert_to_tensor(kernel))


def _gated_taps(window, lines, gates, row, width):
    """One row of the window: (its gated taps [N, H', W', K*C], the taps as a list)."""
    taps = [window.tap(lines, column, width) for column in range(window.kernel_size)]
    gated = [
        tap * window.channel(gates, row, column) for column, tap in enumerate(taps)
    ]
    return tf.concat(gated, axis=-1), taps


def _row_matrix(kernel, row):
    """[K, K, C, filters] -> [K*C, filters], the W_i of one window row."""
    return tf.reshape(kernel[row], [-1, kernel.shape[-1]])


def _project(inputs, matrix):
    """[..., C] by [C, filters] -> [..., filters] as one matrix product."""
    shape = [_size(inputs, axis) for axis in range(3)]
    flat = tf.matmul(tf.reshape(inputs, [-1, matrix.shape[0]]), matrix)
    return tf.reshape(flat, [*shape, matrix.shape[1]])


def _add(*terms):
    terms = [term for term in terms if term is not None]
    return terms[0] if len(terms) == 1 else tf.add_n(terms)


def _after(tensor, others):
    """`tensor`, to be read only when `others` have been computed."""
    if others is None:
        return tensor
    with tf.control_dependencies(tf.nest.flatten(others)):
        return tf.identity(tensor)


def _size(tensor, axis):
    static = tensor.shape[axis]
    return tf.shape(tensor)[axis] if static is None else static
