"""Reads image files or bytes into uint8 arrays.

EXIF orientation and the colour profile are always applied, so that the array matches
what a viewer shows; pixel values are scaled by the file's bit depth, never clipped.
"""

import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from absl import logging
from PIL import Image

from picanet_tf.core.colour import to_srgb
from picanet_tf.core.depth import to_8_bit
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.opening import EXTENSIONS, MAX_PIXELS, ImageSource, load
from picanet_tf.core.path_checks import existing_folder

_ORIENTATION_TAG = 0x0112
_XMP = ("xmp", "XML:com.adobe.xmp")  # In `info`.
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(PicanetError):
    """A file that is not a readable image. The message starts with its name.

    Attributes:
        name: the file name or a substitute.
        reason: the message without the name.
    """

    def __init__(self, name: str, reason: str):
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason

    def __reduce__(self):  # Unpickling needs both arguments.
        return type(self), (self.name, self.reason)


def read_image(
    source: ImageSource,
    *,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
    keep_alpha: bool = False,
) -> np.ndarray:
    """Reads an image in colour.

    Grey, palette, 1-bit and CMYK images become RGB; colours become sRGB, by the ICC
    profile of the file; 16-bit grey is scaled to 8 bits; transparency is composited
    over white; the first frame of an animation is read.

    Args:
        source: path, encoded bytes, or a Pillow image.
        max_pixels: largest width x height accepted, checked from the header before
            decoding. Above `MAX_PIXELS`, Pillow's own limit
            `PIL.Image.MAX_IMAGE_PIXELS` must be raised too.
        name: name of the image in error messages; defaults to the path.
        keep_alpha: return the transparency of an image that has any, see below.

    Returns:
        uint8 array `(height, width, 3)`, RGB, 0..255, EXIF orientation applied. With
        `keep_alpha`, if any pixel is not opaque: `(height, width, 4)`, RGBA, with
        straight colours, as stored; `over_white` makes it what is returned otherwise.

    Raises:
        ImageError: if the image is missing, not an image, truncated, too large, or has
            pixels without a known range, such as floating point.
    """
    name = name or _name_of(source)
    with errors_named(name):
        image = load(source, max_pixels=max_pixels)
        warn = functools.partial(logging.warning, "%s: %s", name)
        return np.array(to_rgb(image, keep_alpha=keep_alpha, warn=warn))


def over_white(image: np.ndarray) -> np.ndarray:
    """Composites an image over white.

    Args:
        image: uint8 `(height, width, 4)`, RGBA with straight colours; or
            `(height, width, 3)`, RGB, which is returned unchanged.

    Returns:
        uint8 `(height, width, 3)`, RGB.
    """
    if image.shape[2] == 3:
        return image
    return np.array(_over(Image.fromarray(image), "white").convert("RGB"))


def read_mask(
    source: ImageSource, *, max_pixels: int = MAX_PIXELS, name: str | None = None
) -> np.ndarray:
    """Reads a mask of any image mode as grey.

    Like `read_image`, but RGB, palette and CMYK masks are converted to luma, and alpha
    is composited over black, so that transparent pixels are background.

    Returns:
        uint8 array `(height, width)`, 0..255, EXIF orientation applied.

    Raises:
        ImageError: see `read_image`.
    """
    with errors_named(name or _name_of(source)):
        return np.array(to_grey(load(source, max_pixels=max_pixels)))


def list_images(folder: str | os.PathLike) -> list[Path]:
    """Lists the image files of a folder, by case-insensitive extension.

    Hidden files are skipped (such as `._photo.jpg` of macOS). The order is natural:
    `im2` comes before `im10`.

    Raises:
        PicanetError: if the folder does not exist or is not a folder.
    """
    images = [
        path
        for path in existing_folder(folder).iterdir()
        if path.suffix.lower() in EXTENSIONS
        and not path.name.startswith(".")
        # Broken links fail when they are read.
        and (os.path.isfile(path) or not os.path.exists(path))
    ]
    return sorted(images, key=lambda path: natural_key(path.name))


def natural_key(text: str) -> tuple:
    """Returns a sort key that orders runs of digits by value: `im2` before `im10`."""
    # The split alternates text and digits, so the types always match.
    parts = re.split(r"(\d+)", text)
    numbers = [int(part) if part.isdecimal() else part for part in parts]
    return tuple(numbers), text


def orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation of a loaded image, 1..8; 1 (upright) if missing."""
    # Where EXIF has none, Pillow takes that of XMP, which viewers ignore.
    xmp = {name: image.info.pop(name) for name in _XMP if name in image.info}
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # Ignore a broken EXIF block.
        return 1
    finally:
        image.info.update(xmp)
    return value if value in _TRANSPOSE else 1


def to_rgb(
    image: Image.Image,
    *,
    keep_alpha: bool = False,
    warn: Callable[[str], None] = logging.warning,
) -> Image.Image:
    """Converts a loaded image to upright RGB in sRGB, transparency over white.

    Args:
        image: from `load`.
        keep_alpha: return RGBA instead if any pixel is not opaque.
        warn: called with a message if something in the file is ignored.

    Raises:
        ValueError: if the pixels have no known range.
    """
    upright = _upright_8_bit(image, warn)
    colours = to_srgb(upright, image.info, warn)
    if _is_transparent(upright):
        colours.putalpha(upright.getchannel("A"))
        return colours if keep_alpha else _over(colours, "white").convert("RGB")
    return colours


def to_grey(image: Image.Image) -> Image.Image:
    """Converts a loaded image to upright grey (L), transparency over black.

    Raises:
        ValueError: if the pixels have no known range.
    """
    image = _upright_8_bit(image)
    if _is_transparent(image):
        image = over_black(image)
    if image.mode == "LAB":  # Pillow converts LAB to RGB, but not to L.
        image = image.convert("RGB")
    return image.convert("L")


def check_range(image: Image.Image) -> None:
    """Raises `ValueError` if the value of white in an image is unknown."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range; store 8 or 16 bit")


def _is_transparent(image: Image.Image) -> bool:
    """Whether any pixel of an image from `_upright_8_bit` is not opaque."""
    return image.mode == "RGBA" and image.getchannel("A").getextrema()[0] < 255


def over_black(image: Image.Image) -> Image.Image:
    """Composites an image with transparency over black; returns RGBA."""
    return _over(image.convert("RGBA"), "black")


def turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    """Rotates or mirrors an image as its EXIF orientation, 1..8, requires."""
    turn = _TRANSPOSE.get(orientation)
    return image if turn is None else image.transpose(turn)


def _over(image: Image.Image, colour: str) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, colour), image)


def _upright_8_bit(
    image: Image.Image, warn: Callable[[str], None] | None = None
) -> Image.Image:
    """Turns an image upright, with 8 bits per channel; RGBA if it may have alpha.

    For `warn` see `depth.to_8_bit`.
    """
    turn = orientation(image)
    check_range(image)
    image = to_8_bit(image, warn)
    if image.mode == "La":  # Pillow converts grey with premultiplied alpha to LA only.
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
    return turn_upright(image, turn)


@contextlib.contextmanager
def errors_named(name: str) -> Iterator[None]:
    """Converts any exception raised in its context to an `ImageError` with `name`."""
    try:
        yield
        return
    except FileNotFoundError:
        reason = "no such file"
    except IsADirectoryError:
        reason = "a folder, not an image"
    except PermissionError:
        reason = "no permission to read it"
    except Image.UnidentifiedImageError:
        reason = "not an image of a known format"
    except Exception as error:  # Decoders also raise SyntaxError, struct.error, ...
        reason = " ".join(str(error).split()) or type(error).__name__
    raise ImageError(name, reason)


def _name_of(source: ImageSource) -> str:
    return os.fspath(source) if isinstance(source, str | os.PathLike) else "image"
