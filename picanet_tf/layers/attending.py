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

import numpy as np
import tensorflow as tf

from picanet_tf.layers import fused
from picanet_tf.layers.fused import Window

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
    reach = Window(kernel_size, dilation_rate).margin
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
        # A strided slice of two sides takes as long as the product itself.
        cells = np.arange(height * width).reshape(height, width)
        context = tf.gather(
            tf.reshape(features, [-1, height * width, channels]),
            cells[rows, columns].ravel(),
            axis=1,
        )
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
    features, attention = map(tf.convert_to_tensor, (features, attention))
    if implementation == "fused":
        return fused.pool(features, attention, Window(kernel_size, dilation_rate))
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
    features, gates, kernel = map(tf.convert_to_tensor, (features, gates, kernel))
    if implementation == "fused":
        window = Window(kernel_size, dilation_rate)
        outputs = fused.conv(
            features, _spread(gates, features, strides), kernel, window
        )[:, ::strides, ::strides]
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
    margin = Window(kernel_size, dilation_rate).margin
    return tf.pad(features, [[0, 0], [margin, margin], [margin, margin], [0, 0]])


def _spread(gates, features, strides):
    """Gates of a striding window as those of one that does not: closed in between.

    Costs `strides` squared times the arithmetic; only SSD's conv8_2 strides, on a map
    of 19x19.
    """
    if strides == 1:
        return gates
    for axis in (1, 2):
        shape, size = tf.shape(gates), tf.shape(features)[axis]
        gaps = [[0, 0]] * 5
        gaps[axis + 1] = [0, strides - 1]
        gates = tf.pad(tf.expand_dims(gates, axis + 1), gaps)
        scale = tf.one_hot(axis, 4, strides, 1, dtype=tf.int32)
        gates = tf.reshape(gates, shape * scale)
        gates = gates[:, :size] if axis == 1 else gates[:, :, :size]
    return gates
