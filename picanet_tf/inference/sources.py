"""Image inputs accepted by models. Imports no TensorFlow."""

from __future__ import annotations

import os
import reprlib

import numpy as np
from PIL import Image

from picanet_tf.core.images import read_image

Source = str | os.PathLike | bytes | Image.Image | np.ndarray


def to_array(image: Source) -> np.ndarray:
    """Converts a `Source` to uint8 [H, W, 3], RGB.

    Raises:
        PicanetError: if an image cannot be read.
        ValueError: if an array is not uint8 [H, W, 3].
        TypeError: if `image` is of another type.
    """
    if not isinstance(image, Source):
        raise no_image(image)
    if not isinstance(image, np.ndarray):
        return read_image(image)
    shape = image.shape
    if image.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ValueError(
            "An image array must be uint8 [height, width, 3], RGB, and not empty. "
            f"Received: {image.dtype} {image.shape}"
        )
    return image


def no_image(value: object) -> TypeError:
    """Returns the error for a value that is not an image."""
    return TypeError(
        "An image must be a path, encoded bytes, a PIL image or a uint8 array [height, "
        "width, 3]; several of them, a list or another iterable. Received: "
        f"{reprlib.repr(value)} ({type(value).__name__})"
    )
