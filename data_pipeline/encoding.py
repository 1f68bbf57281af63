"""Pairs of files -> the encoded bytes and numbers that a record stores.

Imports no TensorFlow: the converter runs `encode_pair` in worker processes.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from data_pipeline.annotations import AnnotationError, read_annotation
from data_pipeline.class_maps import read_class_map
from data_pipeline.kinds import BOXES, CLASS_MAP, MASK
from data_pipeline.pairs import BadFile, Pair
from picanet_tf.core import images
from picanet_tf.core.images import ImageError
from picanet_tf.core.masks import MaskNote, Reading

_JPEG_FORMATS = ("JPEG", "MPO")  # MPO: a JPEG followed by more pictures.
# Type of `masks.read_any_mask` with its options.
ReadMask = Callable[..., Reading]


@dataclass(frozen=True)
class EncodedExample:
    """The contents of a record.

    Attributes:
        key: the name that the image and its ground truth share.
        image: JPEG or PNG bytes that every decoder shows upright, in sRGB or grey.
        height, width: size in pixels.
        truth: the ground truth as keyword arguments for the encoder of its kind in
            `schema`: `mask`, or `boxes`, `labels` and `difficult`.
        warning: what is unusual, but accepted; "" if nothing is.
        note: how the mask was read, if by a `ReadMask`.
    """

    key: str
    image: bytes
    height: int
    width: int
    truth: dict[str, bytes | np.ndarray]
    warning: str = ""
    note: MaskNote | None = None


class _Truth(NamedTuple):
    """Ground truth and the (height, width) of the image that it belongs to."""

    fields: dict[str, bytes | np.ndarray]
    size: tuple[int, int]
    warning: str = ""
    note: MaskNote | None = None


class _EncodedImage(NamedTuple):
    """An encoded image and its (height, width); `rotated`: EXIF swapped the two."""

    data: bytes
    size: tuple[int, int]
    rotated: bool
    warnings: list[str]


def encode_pair(
    pair: Pair,
    kind: str = MASK,
    *,
    max_pixels: int = images.MAX_PIXELS,
    read_mask: ReadMask | None = None,
) -> EncodedExample | list[BadFile]:
    """Reads, checks and encodes an image and its ground truth.

    The bytes of image and mask are kept as they are if every decoder makes the same
    upright 8-bit picture of them, the image in sRGB. Otherwise the picture is turned
    upright, converted to sRGB and encoded again: a JPEG image as JPEG, at quality 95
    without chroma subsampling, all others as PNG.

    Args:
        pair: the files.
        kind: kind of the ground truth, see `kinds`.
        max_pixels: largest width x height accepted, checked before decoding.
        read_mask: reads masks; by default they are read as `images.read_mask` does,
            which is right for the known data sets.

    Returns:
        The encoded example, or a list of the files that are bad.
    """
    bad = []
    try:
        image = _encode_image(pair.image, max_pixels)
    except ImageError as error:
        bad.append(BadFile(error.name, error.reason))
    try:
        if read_mask:
            truth = _read_any_mask(pair.truth, max_pixels, read_mask)
        else:
            truth = _READERS[kind](pair.truth, max_pixels)
    except ImageError as error:
        bad.append(BadFile(error.name, error.reason))
    except AnnotationError as error:
        bad.append(BadFile(str(pair.truth), str(error)))
    if bad:
        return bad
    (height, width), (truth_height, truth_width) = image.size, truth.size
    if truth.size != image.size:
        reason = (
            f"{truth_width} x {truth_height}, but its image {pair.image} is "
            f"{width} x {height} (width x height)"
        )
        if image.rotated and truth.size == (width, height):
            reason += " after its EXIF rotation, which this file lacks"
        return [BadFile(str(pair.truth), reason)]
    warning = "; ".join(filter(None, [*image.warnings, truth.warning]))
    return EncodedExample(
        pair.key, image.data, height, width, truth.fields, warning, truth.note
    )


def _encode_image(path: Path, max_pixels: int) -> _EncodedImage:
    """Encodes the image as `images.read_image` reads it."""
    warnings: list[str] = []
    with images.errors_named(str(path)):
        data = path.read_bytes()
        # Decoded even if the bytes are kept, which is how truncated files are found.
        image = images.load(data, max_pixels=max_pixels)
        upright = images.to_rgb(image, warn=warnings.append)
    if not (_is_plain(image) and np.array_equal(upright, image.convert("RGB"))):
        data = _encode(upright, "JPEG" if image.format in _JPEG_FORMATS else "PNG")
    size = (upright.height, upright.width)
    return _EncodedImage(data, size, upright.size != image.size, warnings)


def _read_mask(path: Path, max_pixels: int) -> _Truth:
    """Encodes the mask as `images.read_mask` reads it."""
    with images.errors_named(str(path)):
        data = path.read_bytes()
        image = images.load(data, max_pixels=max_pixels)
        grey = images.to_grey(image)
    if not (_is_plain(image) and _is_grey_png(data)):
        data = _encode(grey, "PNG")
    warning = ""
    # Not an error: a mask may be faint. But values of only 0 and 1 are most likely
    # class numbers, which would be stored as nearly black.
    if grey.getextrema()[1] == 1:
        warning = "the mask's largest value is 1 of 255; was 255 meant?"
    return _Truth({"mask": data}, (grey.height, grey.width), warning)


def _read_any_mask(path: Path, max_pixels: int, read_mask: ReadMask) -> _Truth:
    with images.errors_named(str(path)):
        data = path.read_bytes()
        image = images.load(data, max_pixels=max_pixels)
    mask, note = read_mask(image, max_pixels=max_pixels, name=str(path))
    kept = _is_plain(image) and _is_grey_png(data)
    if not (kept and np.array_equal(image, mask)):
        data = _encode(Image.fromarray(mask), "PNG")
    return _Truth({"mask": data}, mask.shape, note=note)


def _read_class_map(path: Path, max_pixels: int) -> _Truth:
    class_map = read_class_map(path, max_pixels=max_pixels)
    return _Truth({"mask": _encode(Image.fromarray(class_map), "PNG")}, class_map.shape)


def _read_boxes(path: Path, _max_pixels: int) -> _Truth:
    annotation = read_annotation(path)
    warning = "" if annotation.objects else "it has no object"
    return _Truth(annotation.arrays(), (annotation.height, annotation.width), warning)


_READERS = {MASK: _read_mask, CLASS_MAP: _read_class_map, BOXES: _read_boxes}


def _is_grey_png(data: bytes) -> bool:
    """Whether the header is that of an 8-bit grey PNG."""
    return data.startswith(b"\x89PNG") and data[24:26] == b"\x08\x00"


def _is_plain(image: Image.Image) -> bool:
    """Whether TensorFlow decodes the file to the same upright pixels as Pillow.

    Colour profiles are not considered, since neither applies them.
    """
    return (
        image.format in ("JPEG", "PNG")
        and image.mode in ("RGB", "L")
        and images.orientation(image) == 1
        and not image.has_transparency_data
        and not getattr(image, "is_animated", False)
    )


def _encode(image: Image.Image, file_format: str) -> bytes:
    buffer = io.BytesIO()
    # PNG ignores `quality` and `subsampling`.
    image.save(buffer, file_format, quality=95, subsampling=0)
    return buffer.getvalue()
