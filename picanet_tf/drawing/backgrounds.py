"""Backgrounds of cut-outs. Does not import TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageOps

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import read_image
from picanet_tf.drawing.foreground import blurred_background

TRANSPARENT = "transparent"
BLUR = "blur"

# (image uint8 [H, W, 3], alpha and opacity float [H, W] in [0, 1]) -> uint8 [H, W, 3]
# or [3].
Background = Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]


def parse_background(text: str, *, files: bool = True) -> Background | None:
    """Parses `--background`; reads a photo at once.

    Args:
        text: `"transparent"`, `"blur"`, a colour (`"white"`, `"#ff8800"`) or the path
            of a photo, which is scaled and cropped to cover the result.
            A name that is also a colour is the colour: ./white is the file.
        files: whether paths are accepted.

    Returns:
        None for transparency.

    Raises:
        PicanetError: if it is none of these; also if the photo cannot be read.
    """
    if text == TRANSPARENT:
        return None
    if text == BLUR:
        return blurred_background
    try:
        colour = ImageColor.getrgb(text)
    except ValueError:
        colour = ()
    if len(colour) == 3:
        return lambda *_: np.array(colour, np.uint8)
    if files and Path(text).is_file():
        photo = Image.fromarray(read_image(text))
        return lambda image, *_: _cover(photo, image.shape[:2])
    choices = "transparent, blur, a colour such as white or #ff8800"
    choices += ", or the path of a photo" * files
    raise PicanetError(f"`background` must be {choices}. Received: {text}")


def lay_over(
    colours: np.ndarray, alpha: np.ndarray, background: np.ndarray
) -> np.ndarray:
    """Composites colours over an opaque background.

    Args:
        colours: uint8 [H, W, 3].
        alpha: float [H, W] in [0, 1].
        background: uint8 [H, W, 3], or [3] for one colour.

    Returns:
        uint8 [H, W, 3].
    """
    result = np.empty_like(colours)
    background = np.broadcast_to(background, colours.shape)
    for row in range(0, len(colours), 256):  # Bands need less memory.
        band = slice(row, row + 256)
        share = np.float32(alpha[band])[..., np.newaxis]
        result[band] = np.round(share * colours[band] + (1 - share) * background[band])
    return result


def _cover(photo: Image.Image, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(ImageOps.fit(photo, size[::-1], Image.Resampling.LANCZOS))
