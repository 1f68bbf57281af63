"""Image inputs accepted by models. Imports no TensorFlow."""

from __future__ import annotations

import io
import os
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO

import numpy as np
from PIL import Image

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import ImageError, over_white, read_image

Source = (
    str
    | os.PathLike
    | bytes
    | bytearray
    | memoryview
    | BinaryIO
    | Image.Image
    | np.ndarray
)

_SHAPES = "[H, W, 3] (RGB), [H, W, 4] (RGBA), [H, W] or [H, W, 1] (grey)"


def to_array(
    image: Source, *, name: str | None = None, keep_alpha: bool = False
) -> np.ndarray:
    """Converts an image to uint8 [H, W, 3], RGB, transparency over white.

    Args:
        image: a path; an encoded image as bytes, bytearray, memoryview or a file that
            is open in binary mode, read from its position; a PIL image; or a uint8
            array [H, W, 3], [H, W, 4] with straight alpha, [H, W] or [H, W, 1]. An
            array of three dimensions is one image, never several grey ones.
        name: name of the image in error messages, besides its path if it has one.
        keep_alpha: return [H, W, 4], RGBA, if any pixel is not opaque.

    Raises:
        PicanetError: if an image cannot be read, or an array is of another type or
            shape.
        TypeError: if `image` is of another type.
    """
    if isinstance(image, np.ndarray):
        return _array(image, name, keep_alpha)
    if not is_image(image) or isinstance(image, io.TextIOBase):
        raise no_image(image, name)
    path = _name_of(image)
    name = f"{path} ({name})" if path and name else path or name
    if isinstance(image, bytearray | memoryview):
        image = bytes(image)
    elif not isinstance(image, str | os.PathLike | bytes | Image.Image):
        image = _read(image, name or "image")
    return read_image(image, name=name, keep_alpha=keep_alpha)


def to_arrays(images: Iterable[Source]) -> Iterator[np.ndarray]:
    """Converts several images as `to_array` does; errors name them `images[2]` etc.

    Raises:
        TypeError: if `images` is not an iterable of images.
    """
    # A dictionary would be taken for its keys.
    if not isinstance(images, Iterable) or isinstance(images, Mapping):
        raise no_image(images)
    for index, image in enumerate(images):
        yield to_array(image, name=f"images[{index}]")


def is_image(value: object) -> bool:
    """Whether the type of `value` is that of one image.

    An array of four dimensions holds several. Files count as images, even those open as
    text.
    """
    if isinstance(value, np.ndarray):
        return value.ndim != 4
    one = str | os.PathLike | bytes | bytearray | memoryview | Image.Image
    return isinstance(value, one) or callable(getattr(value, "read", None))


def no_image(value: object, name: str | None = None) -> TypeError:
    """Returns the error for a value that is not an image."""
    if isinstance(value, io.TextIOBase):
        return TypeError(
            f"{name or 'The image'} is a file open as text: open it with mode 'rb'. "
            f"Received: {value!r}"
        )
    return TypeError(
        f"{name or 'An image'} must be a path, encoded bytes, a file open in binary "
        f"mode, a PIL image or a uint8 array {_SHAPES}; several of them, a list or "
        f"another iterable. Received: {reprlib.repr(value)} ({type(value).__name__})"
    )


def _array(image: np.ndarray, name: str | None, keep_alpha: bool) -> np.ndarray:
    shape = image.shape
    is_grey = len(shape) == 2 or len(shape) == 3 and shape[2] == 1
    is_colour = len(shape) == 3 and shape[2] in (3, 4)
    if image.dtype != np.uint8 or not (is_grey or is_colour) or 0 in shape:
        raise PicanetError(
            f"{name or 'An image array'} must be uint8, 0 to 255, {_SHAPES}, and not "
            f"empty. Received: {image.dtype} {shape}"
        )
    if is_grey:
        return np.repeat(image.reshape(*shape[:2], 1), 3, axis=2)
    if shape[2] == 4 and image[..., 3].min() == 255:
        return image[..., :3]
    return image if keep_alpha else over_white(image)


def _read(file: BinaryIO, name: str) -> bytes:
    try:
        content = file.read()
        at_end = not content and file.seekable() and file.tell() > 0
    except (OSError, ValueError) as error:  # ValueError: it is closed.
        raise ImageError(name, str(error)) from error
    if at_end:
        raise ImageError(name, "the file is at its end: call seek(0) first")
    if not isinstance(content, bytes):
        raise TypeError(
            f"{name} must be a file open in binary mode. Received: {file!r}, whose "
            f"read() returns {type(content).__name__}"
        )
    return content


def _name_of(image: object) -> str:
    """Returns the path of an image; empty if it has none."""
    if isinstance(image, str | os.PathLike):
        return os.fsdecode(image)
    # Of open files and PIL images. A file descriptor's name is a number.
    for attribute in ("name", "filename"):
        name = getattr(image, attribute, "")
        if isinstance(name, str) and name:
            return name
    return ""
