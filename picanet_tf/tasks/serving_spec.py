"""`ServingSpec`: the outputs of exported networks. Does not import TensorFlow."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np


class ServingSpec(abc.ABC):
    """Inputs and outputs of a task's exported networks.

    Attributes:
        output: name of the float output of TFLite and ONNX files, which is also used to
            compare exports.
        signatures: {signature that takes `image`: names of its outputs}.
        image_bytes_outputs: output names of the signature `image_bytes`.
        png_output: name of its additional PNG output; "" for none.
        resize_description: how to resize a photo to the input; `{side}` stands for the
            input's side.
        output_description: what `output` contains.
        labels: names of the classes, in the order of the output's channels.
        companion_files: {name: path} of files to ship with a TFLite or ONNX file.
    """

    output: ClassVar[str]
    signatures: ClassVar[Mapping[str, tuple[str, ...]]]
    image_bytes_outputs: ClassVar[tuple[str, ...]]
    png_output: ClassVar[str] = ""
    resize_description: ClassVar[str] = (
        "to {side} x {side}, aspect not kept, bilinear with half-pixel centres and no "
        "antialiasing (tf.image.resize)"
    )
    output_description: ClassVar[str]
    labels: ClassVar[tuple[str, ...]] = ()
    companion_files: ClassVar[Mapping[str, Path]] = {}

    @abc.abstractmethod
    def heads(self, logits, side: int) -> dict:
        """Returns {name: tensor} of all outputs, including `output`.

        Args:
            logits: the network's `Task.logits`, a Keras tensor or an eager tensor.
            side: side of the network's input, in pixels.
        """

    def draw(self, heads: Mapping, size, side: int):
        """Draws the PNG of one image: uint8 tensor [height, width, 1].

        Args:
            heads: {name: output for one image}.
            size: (height, width) of the image.
            side: side of the network's input, in pixels.
        """
        raise NotImplementedError(f"{type(self).__name__} has no PNG output")

    def drawn_difference(
        self, pixels: np.ndarray, heads: Mapping, size, side: int
    ) -> float:
        """Returns the error of a PNG's pixels beyond rounding; see `draw`."""
        raise NotImplementedError(f"{type(self).__name__} has no PNG output")

    def difference(self, values: Mapping, wanted: Mapping) -> float | None:
        """Returns the joint error of the `image_bytes_outputs`.

        The default, None, means that each output is compared on its own. Override it
        for outputs such as boxes, whose order may change with a rounded score.
        """
        return None
