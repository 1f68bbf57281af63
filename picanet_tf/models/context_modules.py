"""The registry of context modules by kind.

A context module transforms a feature map with C channels to one with C' channels. A
*plan*, ``{attach point: kind}``, defines the context modules of a network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import keras

from picanet_tf.layers import (
    AttentionConvolution,
    DilatedConv2D,
    GlobalAttentionPooling,
    GlobalContextPooling,
    LocalAttentionPooling,
    LocalContextPooling,
    LSTMOptions,
    ReNet,
    StridedDilatedConv2D,
)
from picanet_tf.layers.attention_ops import global_grid
from picanet_tf.layers.initializers import gaussian

# These convolve and choose their number of channels. The other kinds pool, and their
# output is fused with their input.
CONVOLVING = ("AC", "LC")
# These can return their attention.
ATTENTIVE = ("GAP", "LAP", "AC")
KINDS = (*ATTENTIVE, "LC", "ReNet", "G_AveP", "L_AveP", "G_MaxP", "L_MaxP")


class AttachPoint(NamedTuple):
    """The location of a context module in a network.

    Attributes:
        key: its number in the variant's name and in the output `attention<key>`.
        label: its label in figures, such as "D6".
        kind: kind of the module, one of `KINDS`.
        input_layer: name of the layer whose output is the module's input.
        layer: name of the module's layer.
        dilation_rate: distance of neighbouring positions in a local window, in cells of
            the attention's map.
    """

    key: int
    label: str
    kind: str
    input_layer: str = ""
    layer: str = ""
    dilation_rate: int = 2


def fit_grid(size: int, kernel_size: int = 10) -> tuple[int, int]:
    """Returns (kernel_size, dilation_rate) of GAP's grid on a map with side `size`.

    The grid has at most `kernel_size` positions per side, spaced as far apart as
    possible: 28 -> (10, 3).
    """
    kernel_size = min(kernel_size, size)
    dilation_rate = (size - 1) // (kernel_size - 1) if kernel_size > 1 else 1
    return kernel_size, dilation_rate


def global_positions(size: int, kernel_size: int = 10) -> slice:
    """Returns the positions of GAP's grid along one side of a map with side `size`."""
    return global_grid(size, *fit_grid(size, kernel_size))


def context_layer(
    kind: str,
    *,
    name: str,
    size: int | None = None,
    filters: int | None = None,
    global_kernel_size: int = 10,
    kernel_size: int = 7,
    dilation_rate: int = 2,
    strides: int = 1,
    renet_units: int = 256,
    attention_filters: int = 128,
    return_attention: bool = False,
    lstm_options: LSTMOptions | Mapping | None = None,
) -> keras.layers.Layer:
    """Creates a context module.

    Args:
        kind: one of `KINDS`: the paper's `"GAP"`, `"LAP"`, `"AC"`, or its baselines
            `"LC"` (large convolution), `"ReNet"`, and average and max pooling, global
            (`"G_AveP"`, `"G_MaxP"`) and local (`"L_AveP"`, `"L_MaxP"`).
        name: name of the layer.
        size: side of the feature map; determines GAP's grid.
        filters: output channels of AC and LC.
        global_kernel_size: maximum number of grid positions per side in GAP.
        kernel_size, dilation_rate: window of the local kinds.
        strides: strides of AC and LC.
        renet_units: hidden units per direction in ReNet.
        attention_filters: channels inside the attention branch of LAP and AC.
        return_attention: also return the attention (GAP, LAP, AC).
        lstm_options: options of the LSTMs in GAP and ReNet, see `layers.ReNet`.

    Returns:
        A layer from [N, H, W, C] to [N, H', W', C'].

    Raises:
        ValueError: if the kind is unknown; if attention or strides are requested of a
            kind that does not support them; if GAP has no `size`, or AC or LC no
            `filters`.
    """
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {KINDS}. Received: kind={kind!r}")
    if return_attention and kind not in ATTENTIVE:
        raise ValueError(
            f"Only {ATTENTIVE} can return an attention. Received: kind={kind!r}"
        )
    if kind == "GAP" and size is None:
        raise ValueError("`size` must be given for the grid. Received: kind='GAP'")
    if kind in CONVOLVING and filters is None:
        raise ValueError(f"`filters` must be given. Received: kind={kind!r}")
    if kind not in CONVOLVING and strides != 1:
        raise ValueError(
            f"Only {CONVOLVING} support `strides`. Received: kind={kind!r}, "
            f"strides={strides}"
        )
    window = {"kernel_size": kernel_size, "dilation_rate": dilation_rate}
    if kind == "GAP":
        grid_size, grid_rate = fit_grid(size, global_kernel_size)
        return GlobalAttentionPooling(
            grid_size,
            grid_rate,
            units=renet_units,
            return_attention=return_attention,
            lstm_options=lstm_options,
            name=name,
        )
    if kind == "LAP":
        return LocalAttentionPooling(
            attention_filters=attention_filters,
            return_attention=return_attention,
            name=name,
            **window,
        )
    if kind == "AC":
        return AttentionConvolution(
            filters,
            strides=strides,
            attention_filters=attention_filters,
            return_attention=return_attention,
            name=name,
            **window,
        )
    if kind == "LC":
        return _large_convolution(filters, strides, window, name)
    if kind == "ReNet":
        return ReNet(renet_units, lstm_options, name=name)
    scope, _, pooling = kind.partition("_")
    mode = {"AveP": "average", "MaxP": "max"}[pooling]
    if scope == "G":
        return GlobalContextPooling(mode, name=name)
    return LocalContextPooling(mode, name=name, **window)


def _large_convolution(filters, strides, window, name):
    """Creates LC, which is AC with all gates equal to 1."""
    options = {
        "padding": "same",
        "dilation_rate": window["dilation_rate"],
        "kernel_initializer": gaussian(),
        "name": name,
    }
    if strides > 1:
        return StridedDilatedConv2D(
            filters, window["kernel_size"], strides=strides, **options
        )
    return DilatedConv2D(filters, window["kernel_size"], **options)
