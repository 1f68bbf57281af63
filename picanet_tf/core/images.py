"""Reads image files or bytes into uint8 arrays.

EXIF orientation is always applied, so that the array matches what a viewer shows; pixel
values are scaled by the file's bit depth, never clipped.
"""

import contextlib
import io
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from picanet_tf.core.errors import PicanetError

ImageSource = str | os.PathLike | bytes | Image.Image

# Pillow's hard limit, twice `PIL.Image.MAX_IMAGE_PIXELS`.
MAX_PIXELS = 178_956_970

EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .gif .tif .tiff .webp .avif "
    ".pbm .pgm .ppm .pnm".split()
)
# Explicit, because Pillow also opens formats that run other programs (EPS, PDF).
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "AVIF")

_ORIENTATION_TAG = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Between MAX_IMAGE_PIXELS and the hard limit Pillow only warns; see `max_pixels`.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


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
    source: ImageSource, *, max_pixels: int = MAX_PIXELS, name: str | None = None
) -> np.ndarray:
    """Reads an image in colour.

    Grey, palette, 1-bit and CMYK images become RGB; 16-bit grey is scaled to 8 bits;
    transparency is composited over white; the first frame of an animation is read.

    Args:
        source: path, encoded bytes, or a Pillow image.
        max_pixels: largest width x height accepted, checked from the header before
            decoding. Above `MAX_PIXELS`, Pillow's own limit
            `PIL.Image.MAX_IMAGE_PIXELS` must be raised too.
        name: name of the image in error messages; defaults to the path.

    Returns:
        uint8 array `(height, width, 3)`, RGB, 0..255, EXIF orientation applied.

    Raises:
        ImageError: if the image is missing, not an image, truncated, too large, or has
            pixels without a known range, such as floating point.
    """
    with errors_named(name or _name_of(source)):
        return np.array(to_rgb(load(source, max_pixels=max_pixels)))


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


def list_images(folder: str | os.PathLike, *, recursive: bool = False) -> list[Path]:
    """Lists the image files of a folder, by case-insensitive extension.

    Hidden files are skipped (such as `._photo.jpg` of macOS). The order is natural:
    `im2` comes before `im10`.

    Raises:
        PicanetError: if the folder does not exist or is not a folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "not a folder" if folder.exists() else "no such folder"
        raise PicanetError(f"{folder}: {what}")
    paths = folder.rglob("*") if recursive else folder.iterdir()
    images = [
        path
        for path in paths
        if path.suffix.lower() in EXTENSIONS
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and (path.is_file() or not path.exists())  # Broken links fail when read.
    ]
    return sorted(images, key=lambda path: natural_key(str(path.relative_to(folder))))


def natural_key(text: str) -> tuple:
    """A sort key that orders runs of digits by value: `im2` before `im10`."""
    # The split alternates text and digits, so the types always match.
    parts = re.split(r"(\d+)", text)
    numbers = [int(part) if part.isdecimal() else part for part in parts]
    return tuple(numbers), text


def load(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Opens and decodes an image as stored; raises Pillow's errors (`errors_named`)."""
    if isinstance(source, Image.Image):
        return _load(source, max_pixels)
    # Not by path: Pillow would memory-map uncompressed files, which garbles the EXIF
    # rotation of a TIFF (Pillow 13.0).
    with (
        io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file
    ):
        return _load(Image.open(file, formats=FORMATS), max_pixels)


def _load(image: Image.Image, max_pixels: int) -> Image.Image:
    width, height = image.size
    if width * height > max_pixels:
        raise ValueError(
            f"at most {max_pixels:,} pixels are accepted, the image has "
            f"{width} x {height}"
        )
    image.load()
    return image


def orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation of a loaded image, 1..8; 1 (upright) if missing."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # Ignore a broken EXIF block.
        return 1
    return value if value in _TRANSPOSE else 1


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts a loaded image to upright RGB, transparency over white."""
    image = _upright_8_bit(image)
    if image.has_transparency_data:
        image = _over(image, "white")
    return image.convert("RGB")


def to_grey(image: Image.Image) -> Image.Image:
    """Converts a loaded image to upright grey (L), transparency over black."""
    image = _upright_8_bit(image)
    if image.has_transparency_data:
        image = over_black(image)
    if image.mode == "LAB":  # Pillow converts LAB to RGB, but not to L.
        image = image.convert("RGB")
    return image.convert("L")


def over_black(image: Image.Image) -> Image.Image:
    """Composites an image with transparency over black; returns RGBA."""
    return _over(image, "black")


def turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turns pixels as the EXIF orientation of their file says, 1..8."""
    turn = _TRANSPOSE.get(orientation)
    return image if turn is None else image.transpose(turn)


def _over(image: Image.Image, colour: str) -> Image.Image:
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, colour), image)


def _upright_8_bit(image: Image.Image) -> Image.Image:
    turn = orientation(image)
    if image.mode.startswith("I"):
        # 16 bits per pixel; Pillow's own conversion to L clips at 255.
        deep = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        image = Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("floating-point pixels have no known range; store 8 or 16 bit")
    return turn_upright(image, turn)


@contextlib.contextmanager
def errors_named(name: str) -> Iterator[None]:
    """Converts any exception raised inside to an `ImageError` with that name."""
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
