"""Backgrounds of cut-outs. Does not import TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageColor, ImageOps

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import read_image
from picanet_tf.core.resizing import bands
from picanet_tf.drawing.foreground import blurred_background

TRANSPARENT = "transparent"
BLUR = "blur"

# A frame is the rows and columns of the result. A background is a function of the image
# uint8 [H, W, 3], alpha and opacity, float [H, W] in [0, 1] (opacity may be None), and
# the frame; it returns uint8 [h, w, 3], or [3] for one colour.
Frame = tuple[slice, slice]
Background = Callable[[np.ndarray, np.ndarray, np.ndarray | None, Frame], np.ndarray]


def parse_background(
    background: str | os.PathLike, *, files: bool = True
) -> Background | None:
    """Parses the value of `--background`; a photo is read immediately.

    Args:
        background: `"transparent"`, `"blur"`, a colour (`"white"`, `"#ff8800"`) or the
            path of a photo, which is scaled and cropped to cover the result. The name
            of a colour is never a path: the file must be given as ./white.
        files: whether paths are accepted.

    Returns:
        A function that draws the background; None for transparency.

    Raises:
        PicanetError: if it is none of these, or the photo cannot be read.
    """
    choices = "transparent, blur, a colour such as white or '#ff8800'"
    choices += ", or the path of a photo" * files
    if not isinstance(background, str | os.PathLike):
        raise PicanetError(f"`background` must be {choices}. Received: {background!r}")
    text = os.fspath(background)
    if text == TRANSPARENT:
        return None
    if text == BLUR:
        return _blur
    try:
        colour = ImageColor.getrgb(text)
    except ValueError:
        colour = ()
    if len(colour) == 3 and all(0 <= value <= 255 for value in colour):
        return lambda *_: np.array(colour, np.uint8)
    if files and not colour and os.path.exists(text):
        return _photo(text)
    missing = "; there is no such file" if files and not colour else ""
    raise PicanetError(f"`background` must be {choices}. Received: {text}{missing}")


def _photo(path: str) -> Background:
    try:
        photo = Image.fromarray(read_image(path))
    except PicanetError as error:
        raise PicanetError(f"`background` {error}") from error

    def cover(image, alpha, opacity, frame: Frame) -> np.ndarray:
        height, width = image[frame].shape[:2]
        size = (width, height)
        return np.asarray(ImageOps.fit(photo, size, Image.Resampling.LANCZOS))

    return cover


def _blur(image, alpha, opacity, frame: Frame) -> np.ndarray:
    return blurred_background(image, alpha, opacity)[frame]


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
    for band in bands(colours.shape[:2]):
        share = np.float32(alpha[band])[..., np.newaxis]
        result[band] = np.round(share * colours[band] + (1 - share) * background[band])
    return result
