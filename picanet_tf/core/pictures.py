"""Encodes pictures and writes them to files. Imports no TensorFlow.

Pictures are sRGB and upright; no metadata or colour profile is written.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import write_bytes


class PictureFormat(NamedTuple):
    """A file format for results.

    Attributes:
        pillow: Pillow's name of the format.
        extension: file name extension.
        lossy: whether it takes a quality; then it has no palette.
        transparent: whether it has an alpha channel.
        longest_side: maximum width and height; None: no limit below `MAX_PIXELS`.
        options: further options of `Image.save`.
    """

    pillow: str
    extension: str
    lossy: bool = False
    transparent: bool = True
    longest_side: int | None = None
    options: dict = {}


# Half the time of Pillow's default 6, for files that are 1% to 5% larger.
PNG_COMPRESSION = 4
DEFAULT_QUALITY = 90

OUTPUT_FORMATS = {
    "png": PictureFormat("PNG", ".png", options={"compress_level": PNG_COMPRESSION}),
    "webp": PictureFormat("WEBP", ".webp", lossy=True, longest_side=16383),
    # The format allows 65,535, but libjpeg 65,500.
    "jpg": PictureFormat(
        "JPEG", ".jpg", lossy=True, transparent=False, longest_side=65500
    ),
    "tiff": PictureFormat("TIFF", ".tiff", options={"compression": "tiff_lzw"}),
}
OUTPUT_EXTENSIONS = frozenset(each.extension for each in OUTPUT_FORMATS.values())
_BY_EXTENSION = {each.extension: name for name, each in OUTPUT_FORMATS.items()}


class PictureFormatError(PicanetError):
    """The file format cannot hold this kind of picture."""


def encode_picture(
    picture: np.ndarray | Image.Image,
    output_format: str = "png",
    quality: int | None = None,
) -> bytes:
    """Encodes a picture.

    Args:
        picture: uint8 [H, W], [H, W, 3] or [H, W, 4], or a PIL image.
        output_format: a key of `OUTPUT_FORMATS`.
        quality: 1..100 for lossy formats; None: `DEFAULT_QUALITY`.

    Raises:
        PictureFormatError: if the format has no transparency or palette, and the
            picture does.
        PicanetError: if the picture is too large for the format.
    """
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    chosen = OUTPUT_FORMATS[output_format]
    if chosen.lossy and picture.mode == "P":
        raise PictureFormatError(
            f"`output_format` {output_format} would not keep the class numbers of a "
            "palette. Use png or tiff"
        )
    longest = max(picture.size)
    if chosen.longest_side and longest > chosen.longest_side:
        raise PicanetError(
            f"`output_format` {output_format} holds at most {chosen.longest_side:,} "
            f"pixels a side, and the picture has {longest:,}. Use png or tiff"
        )
    if not chosen.transparent and picture.has_transparency_data:
        if picture.convert("RGBA").getchannel("A").getextrema()[0] < 255:
            raise transparency_error(output_format)
        picture = picture.convert("RGB")
    options = dict(chosen.options)
    if chosen.lossy:
        options["quality"] = DEFAULT_QUALITY if quality is None else quality
    # In memory: Pillow does not notice that the end of a file was not written.
    buffer = io.BytesIO()
    picture.save(buffer, chosen.pillow, **options)
    return buffer.getvalue()


def transparency_error(output_format: str) -> PictureFormatError:
    """Returns the error for a transparent picture in a format without alpha."""
    return PictureFormatError(
        f"`output_format` {output_format} has no transparency. Give `background`, or "
        "use png, webp or tiff"
    )


def save_picture(
    path: Path, picture: np.ndarray | Image.Image, quality: int | None = None
) -> None:
    """Atomically writes a picture in the format of the extension.

    Creates parent folders. See `encode_picture` for the arguments.

    Raises:
        PicanetError: if the file cannot be written, or the picture cannot be encoded
            in that format.
    """
    path = Path(path)
    if path.suffix not in _BY_EXTENSION:
        raise PicanetError(
            f"Cannot write {path}: unknown file extension: {path.suffix}"
        )
    try:
        data = encode_picture(picture, _BY_EXTENSION[path.suffix], quality)
    except PictureFormatError:
        raise
    except PicanetError as error:
        raise PicanetError(f"Cannot write {path}: {error}") from error
    write_bytes(path, data)
