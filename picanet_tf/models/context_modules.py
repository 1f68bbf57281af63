"""Context modules by kind: the one place that knows them all.

A context module maps a map of C channels to one of C' channels. A *plan* says which
kind goes where, ``{attach point: kind}``; the tasks' networks take plans.
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

# These convolve: they set the number of channels themselves. The others pool, and
# are fused with the map that they pooled.
CONVOLVING = ("AC", "LC")
# These have an attention to return.
ATTENTIVE = ("GAP", "LAP", "AC")
KINDS = (*ATTENTIVE, "LC", "ReNet", "G_AveP", "L_AveP", "G_MaxP", "L_MaxP")


class AttachPoint(NamedTuple):
    """Where in a network a context module sits.

    Attributes:
        key: its number, as in the variant's name and in the output `attention<key>`.
        label: what pictures call it, such as "D6".
        kind: of the module, one of `KINDS`.
        input_layer: name of the layer whose output the module sees.
        layer: name of the module's own layer.
        dilation_rate: distance of neighbouring positions of a local window.
    """

    key: int
    label: str
    kind: str
    input_layer: str = ""
    layer: str = ""
    dilation_rate: int = 2


def fit_grid(size: int, kernel_size: int = 10) -> tuple[int, int]:
    """(kernel_size, dilation_rate) of the global grid on a map of `size` positions.

    At most `kernel_size` positions a side, as far apart as fits: 28 -> (10, 3).
    """
    kernel_size = min(kernel_size, size)
    dilation_rate = (size - 1) // (kernel_size - 1) if kernel_size > 1 else 1
    return kernel_size, dilation_rate


def global_positions(size: int, kernel_size: int = 10) -> slice:
    """The positions of GAP's grid along one side of a map of `size` positions."""
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
    """A context module.

    Args:
        kind: one of `KINDS`: the paper's `"GAP"`, `"LAP"`, `"AC"`; its controls
            `"LC"` (large convolution), `"ReNet"`, and average and max pooling, global
            (`"G_AveP"`, `"G_MaxP"`) and local (`"L_AveP"`, `"L_MaxP"`).
        name: the layer's name.
        size: side of the map, in positions; GAP lays its grid over it.
        filters: output channels of AC and LC.
        global_kernel_size: the most positions a side of GAP's grid.
        kernel_size, dilation_rate: the window of the local kinds.
        strides: step of AC's and LC's window.
        renet_units: hidden units of each direction of ReNet.
        attention_filters: channels inside LAP's and AC's attention.
        return_attention: also return the attention (GAP, LAP, AC).
        lstm_options: options of the LSTMs of GAP and ReNet, see `layers.ReNet`.

    Returns:
        A layer from [N, H, W, C] to [N, H', W', C'].

    Raises:
        ValueError: an unknown kind; attention or strides asked of a kind that has none;
            GAP without `size`, AC or LC without `filters`.
    """
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {KINDS}. Received: kind={kind!r}")
    if return_attention and kind not in ATTENTIVE:
        raise ValueError(
            f"Only {ATTENTIVE} have an attention to return. Received: kind={kind!r}"
        )
    if kind == "GAP" and size is None:
        raise ValueError(
            "`size` must be given, to lay out a grid. Received: kind='GAP'"
        )
    if kind in CONVOLVING and filters is None:
        raise ValueError(f"`filters` must be given. Received: kind={kind!r}")
    if kind not in CONVOLVING and strides != 1:
        raise ValueError(
            f"Only {CONVOLVING} can stride. Received: kind={kind!r}, strides={strides}"
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
    """LC, an AC whose gates are all 1."""
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
