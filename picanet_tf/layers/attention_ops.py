"""The attention operations of PiCANet (Eq. 2, Eq. 3 and Eq. 5) as pure functions.

* Eq. 2, `global_attention_pool`: weights over a grid that spans the map (GAP).
* Eq. 3, `local_attention_pool`: weights over the window of each pixel (LAP).
* Eq. 5, `attention_conv`: gates on the window of each pixel (AC).

Only this module, `banded`, `fused` and `windows` know the order of window positions,
the padding and where dilated taps lie:

* The K*K positions of a window are numbered row by row, ``i = row * K + column``, so
  that its centre is ``i = (K * K - 1) / 2``.
* A local window is centred on its pixel; features outside the map are zero.
* The global grid is the same for every pixel and is centred on the map.

Each operation has two implementations. ``"patches"`` uses `tf.image.extract_patches`
and reads like the equations. ``"fused"`` never stores the K*K-fold patch tensor,
neither in the forward nor in the backward pass: `banded` for LAP, `fused` for AC.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from picanet_tf.layers import banded, fused
from picanet_tf.layers.arguments import check_choice, check_odd, check_positive
from picanet_tf.layers.windows import Window

IMPLEMENTATIONS = ("patches", "fused")


def global_grid(size: int, kernel_size: int, dilation_rate: int) -> slice:
    """Returns the positions of the global grid along one side of a map.

    Args:
        size: length of the side.
        kernel_size: number of grid positions along the side.
        dilation_rate: distance between neighbouring grid positions.

    Returns:
        A slice that selects the ``kernel_size`` positions.

    Raises:
        ValueError: the grid is longer than the side.

    Example:
        >>> global_grid(28, 10, 3)  # 0, 3, ..., 27
        slice(0, 28, 3)
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
    """Returns the positions of a pixel's local window along one side of a map.

    Args:
        position: the pixel's position along the side.
        kernel_size: number of window positions along the side, odd.
        dilation_rate: distance between neighbouring window positions.

    Returns:
        The ``kernel_size`` positions, centred on the pixel. Some may lie outside the
        map, where features are zero.

    Example:
        >>> local_window(5, 7, 2)  # -1, 1, ..., 11
        range(-1, 12, 2)
    """
    margin = Window(kernel_size, dilation_rate).margin
    return range(position - margin, position + margin + 1, dilation_rate)


def output_size(size: int | None, strides: int) -> int | None:
    """Returns the length of a side after strides, rounded up; None stays None."""
    return None if size is None else -(-size // strides)


def global_attention_pool(
    features, attention, *, kernel_size, dilation_rate, implementation="fused"
):
    """Applies global attention pooling, Eq. 2: a weighted sum over the global grid.

    Args:
        features: [N, H, W, C] float; H and W static.
        attention: [N, H, W, K*K] float, each pixel's weights of the grid positions in
            row-major order; usually a softmax, but any values are allowed.
        kernel_size: K, grid positions along each side.
        dilation_rate: distance between neighbouring grid positions.
        implementation: ``"patches"`` or ``"fused"``.

    Returns:
        [N, H, W, C]: at each pixel ``sum_i attention_i * features_i``.

    Raises:
        ValueError: the grid does not fit the map, the attention does not have K*K
            channels, or the implementation is unknown.
    """
    _check_arguments(implementation, kernel_size, attention, dilation_rate)
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
        # A window as large as the grid, so that extract_patches returns one patch.
        context = tf.image.extract_patches(
            features[:, rows.start : rows.stop, columns.start : columns.stop],
            sizes=[1, kernel_size, kernel_size, 1],
            strides=[1, 1, 1, 1],
            rates=[1, dilation_rate, dilation_rate, 1],
            padding="VALID",
        )
    else:
        # A slice with strides along two axes would take as long as the product below.
        indices = np.arange(height * width).reshape(height, width)
        context = tf.gather(
            tf.reshape(features, [-1, height * width, channels]),
            indices[rows, columns].ravel(),
            axis=1,
        )
    context = tf.reshape(context, [-1, positions, channels])
    weights = tf.reshape(attention, [-1, height * width, positions])
    pooled = tf.matmul(weights, context)
    return tf.reshape(pooled, [-1, height, width, channels])


def local_attention_pool(
    features, attention, *, kernel_size, dilation_rate, implementation="fused"
):
    """Applies local attention pooling, Eq. 3: a weighted sum over each pixel's window.

    Args:
        features: [N, H, W, C] float.
        attention: [N, H, W, K*K] float, each pixel's weights of the window positions
            in row-major order; usually a softmax, but any values are allowed.
        kernel_size: K, odd.
        dilation_rate: distance between neighbouring window positions.
        implementation: ``"patches"`` or ``"fused"``.

    Returns:
        [N, H, W, C]: at each pixel ``sum_i attention_i * features_i``.

    Raises:
        ValueError: an even window, an attention without K*K channels, or an unknown
            implementation.
    """
    check_odd(kernel_size=kernel_size)
    _check_arguments(implementation, kernel_size, attention, dilation_rate)
    features, attention = map(tf.convert_to_tensor, (features, attention))
    if implementation == "fused":
        return banded.pool(features, attention, Window(kernel_size, dilation_rate))
    patches = _extract_local_patches(features, kernel_size, dilation_rate, strides=1)
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
    """Applies attention convolution, Eq. 5: a convolution with a gate on every tap.

    Args:
        features: [N, H, W, C] float.
        gates: [N, H', W', K*K] float, each output pixel's gates on its window positions
            in row-major order, usually a sigmoid. H' = ceil(H / strides), and the
            window of output (y, x) is centred on (y * strides, x * strides).
        kernel: [K, K, C, filters] float, K odd.
        bias: [filters] float, or None.
        dilation_rate: distance between neighbouring window positions.
        strides: distance between the centres of neighbouring windows.
        implementation: ``"patches"`` or ``"fused"``.

    Returns:
        [N, H', W', filters]: at each pixel ``sum_i gates_i * features_i W_i + b``.

    Raises:
        ValueError: an even window, gates that do not have K*K channels or the output's
            height and width, or an unknown implementation.
    """
    kernel_size = kernel.shape[0]
    check_odd(kernel_size=kernel_size)
    _check_arguments(implementation, kernel_size, gates, dilation_rate)
    for axis in (1, 2):
        expected = output_size(features.shape[axis], strides)
        if None not in (expected, gates.shape[axis]) and expected != gates.shape[axis]:
            raise ValueError(
                "`gates` must have the output's size, the map's divided by `strides` "
                f"and rounded up. Received: features.shape={features.shape}, "
                f"gates.shape={gates.shape}, strides={strides}"
            )
    features, gates, kernel = map(tf.convert_to_tensor, (features, gates, kernel))
    if implementation == "fused":
        gates = _upsample_gates(gates, features, strides)
        window = Window(kernel_size, dilation_rate)
        outputs = fused.conv(features, gates, kernel, window)
        outputs = outputs[:, ::strides, ::strides]
    else:
        patches = _extract_local_patches(features, kernel_size, dilation_rate, strides)
        gated = patches * gates[..., tf.newaxis]
        # [K, K, C, filters] -> [K*K, C, filters], the W_i of Eq. 5.
        matrices = tf.reshape(kernel, [kernel_size**2, *kernel.shape[2:]])
        outputs = tf.tensordot(gated, matrices, axes=[[3, 4], [0, 1]])
    return outputs if bias is None else outputs + bias


def _check_arguments(implementation, kernel_size, attention, dilation_rate):
    check_choice(IMPLEMENTATIONS, implementation=implementation)
    check_positive(dilation_rate=dilation_rate)
    if attention.shape[-1] != kernel_size**2:
        raise ValueError(
            "The attention must have one channel for each of the K*K positions. "
            f"Received: kernel_size={kernel_size}, shape={attention.shape}"
        )


def _extract_local_patches(features, kernel_size, dilation_rate, strides):
    """[N, H, W, C] -> [N, H', W', K*K, C], zero outside the map."""
    margin = Window(kernel_size, dilation_rate).margin
    patches = tf.image.extract_patches(
        tf.pad(features, [[0, 0], [margin, margin], [margin, margin], [0, 0]]),
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


def _upsample_gates(gates, features, strides):
    """Inserts zero gates between strided ones: [N, H', W', K*K] -> [N, H, W, K*K].

    Thus `fused.conv`, which has no strides, can run on them. That costs `strides`
    squared times the arithmetic, but only SSD's conv8_2 has strides, on a 19x19 map.
    """
    if strides == 1:
        return gates
    for axis in (1, 2):
        shape, size = tf.shape(gates), tf.shape(features)[axis]
        paddings = [[0, 0]] * 5
        paddings[axis + 1] = [0, strides - 1]
        gates = tf.pad(tf.expand_dims(gates, axis + 1), paddings)
        scale = tf.one_hot(axis, 4, strides, 1, dtype=tf.int32)
        gates = tf.reshape(gates, shape * scale)
        gates = gates[:, :size] if axis == 1 else gates[:, :, :size]
    return gates
