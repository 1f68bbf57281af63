"""What an export of a task's network gives: `ServingSpec`. Imports no TensorFlow."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np


class ServingSpec(abc.ABC):
    """What an exported network gives, and how it is fed.

    Attributes:
        output: name of the float output that TFLite and ONNX files give; exports are
            compared by it.
        signatures: {signature of `image`: names of its outputs}.
        image_bytes_outputs: names of the outputs of the signature `image_bytes`.
        png_output: name of the PNGs that it gives as well; "" for none.
        resize_description: how to make an input of a photo, in words; `{side}` is the
            input's side.
        output_description: what `output` holds, in words.
        companion_files: {name: path} of files to put beside a TFLite or ONNX file.
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
    companion_files: ClassVar[Mapping[str, Path]] = {}

    @abc.abstractmethod
    def heads(self, logits, side: int) -> dict:
        """{name: tensor} of all outputs, `output` among them.

        Args:
            logits: `Task.logits` of the network, a Keras tensor or a real one.
            side: of the network's input, in pixels.
        """

    def draw(self, heads: Mapping, size, side: int):
        """The pixels of the PNG of one image: uint8 tensor [height, width, 1].

        Args:
            heads: {name: one image's output}.
            size: (height, width) of the image.
            side: of the network's input, in pixels.
        """
        raise NotImplementedError(f"{type(self).__name__} gives no PNGs")

    def drawn_difference(
        self, pixels: np.ndarray, heads: Mapping, size, side: int
    ) -> float:
        """How far the pixels of a PNG are off, beyond their rounding; see `draw`."""
        raise NotImplementedError(f"{type(self).__name__} gives no PNGs")

    def difference(self, values: Mapping, wanted: Mapping) -> float | None:
        """How far the `image_bytes_outputs` are off, compared together.

        None, the default: each is compared by itself. For outputs such as boxes, of
        which a rounded score may change the order.
        """
        return None
