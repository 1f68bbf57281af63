"""The shapes of what a task hands to shared code, beside what trains it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class AttachPoint(NamedTuple):
    """Where in a network a context module sits.

    Attributes:
        key: its number, as in the variant's plan and in `attention<key>`.
        label: what pictures call it: "D6".
        kind: of the module, see `context.KINDS`.
        before: name of the layer whose output the module sees.
        layer: name of the module's layer.
        dilation_rate: distance of a local window's positions.
    """

    key: int
    label: str
    kind: str
    before: str = ""
    layer: str = ""
    dilation_rate: int = 2


@dataclass(frozen=True, kw_only=True)
class PhotoSpec:
    """How a photo goes in, and what comes out at its own size. Needs no TensorFlow.

    Attributes:
        frame: (uint8 [H, W, 3], side) -> uint8, what the network's maps lie over, its
            upper left corner the image's.
        resize: (that image, side) -> float32 array [side, side, 3], the input.
        finish: (what the network gives for one image, (height, width), side) -> the
            result: an array [height, width], or what the task calls one.
        formats: of pictures, the first is the default.
        render: (format, image uint8 [H, W, 3], what `finish` gave, threshold) -> PIL
            image of the image's size, or a panel.
        collected: {format: {name: result} -> {file name: text}, of all results
            together}.
    """

    frame: Callable
    resize: Callable
    finish: Callable
    formats: tuple[str, ...]
    render: Callable
    collected: Mapping[str, Callable] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Prediction(PhotoSpec):
    """`PhotoSpec`, and what of it runs in TensorFlow.

    Attributes:
        finest: {name: output}, Keras tensors or real ones -> the one to predict from,
            or what is made of several; `KeyError` where there is none.
        output_shape: of that output, such as (N, h, w, 21); the channels are fixed.
        test_size: (variant, side it was trained at) -> side of the input to predict at.
        prepare: ([H, W, 3], side) -> float32 tensor [side, side, 3]: `resize` as part
            of a graph.
        activate: (the finest output, side) -> what `finish` takes, of all images.
        foreground: (the finest output, side) -> float32 [N, h, w, 1] in 0..1.
        foreground_title: what pictures call it.
        telling: (foreground float [H, W] of the frame, result or None) -> {label:
            pixel} to look from when none is chosen.
        middles: (result, (height, width)) -> {label: pixel in the middle}, of the
            objects found, the surest first; None of a task that finds none.
    """

    finest: Callable
    output_shape: tuple
    test_size: Callable
    prepare: Callable
    activate: Callable
    foreground: Callable
    foreground_title: str
    telling: Callable
    middles: Callable | None = None


@dataclass(frozen=True)
class Served:
    """What an exported network gives.

    Attributes:
        output: the float output that TFLite and ONNX give, and files are compared by.
        heads: (the finest output, side) -> {name: tensor}, `output` among them; Keras
            tensors or real ones.
        signatures: {signature of `image`: names of its outputs}.
        encoded: name of the PNGs in the signature `image_bytes`; "" for none.
        encoded_from: names of the outputs that go with them.
        draw: ({name: one image's heads}, (height, width), side) -> uint8 tensor
            [height, width, 1], the PNG's pixels; None without PNGs.
        drawn_difference: (pixels read back, {name: one image's heads}, (height, width),
            side) -> how far off they are, rounding left out; None without PNGs.
        resize: how to make an input of a photo, in words; `{side}` is its side.
        content: of `output`, in words.
        difference: ({name: value}, {name: value wanted}) of `encoded_from` -> how far
            off they are, where comparing each by itself would tell of rounding; None
            where it would not.
        beside: {name: path of the file} put beside what gives `output` alone.
    """

    output: str
    heads: Callable
    signatures: Mapping[str, tuple[str, ...]]
    encoded: str
    encoded_from: tuple[str, ...]
    draw: Callable | None
    drawn_difference: Callable | None
    resize: str
    content: str
    difference: Callable | None = None
    beside: Mapping[str, Path] = field(default_factory=dict)
