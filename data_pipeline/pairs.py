"""Image and mask files -> pairs by name -> encoded bytes ready to store.

Imports no TensorFlow: the converter runs `encode_pair` in worker processes.
"""

import io
import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from data_pipeline import images
from data_pipeline.class_maps import read_class_map
from data_pipeline.images import ImageError

_JPEG_FORMATS = ("JPEG", "MPO")  # MPO: a JPEG with more pictures behind it.
_JPEG_EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif")


@dataclass(frozen=True)
class Pair:
    """An image and its mask, or annotation; `key` is their name, no extension."""

    key: str
    image: Path
    mask: Path


@dataclass(frozen=True)
class BadFile:
    """A file that cannot be used, and why."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


@dataclass(frozen=True)
class EncodedPair:
    """What one record holds.

    Attributes:
        key: the name that image and mask share.
        image: JPEG or PNG bytes that any decoder shows upright, in RGB or grey.
        mask: PNG bytes, 8-bit grey (values or classes), as high and wide as the image.
        height, width: in pixels.
        warning: what looks odd but is accepted; empty when nothing does.
    """

    key: str
    image: bytes
    mask: bytes
    height: int
    width: int
    warning: str = ""

    def fields(self) -> dict:
        """What the task's encoder in `schema` takes."""
        return {k: v for k, v in asdict(self).items() if k != "warning"}


def pair_by_name(
    image_folder: str | os.PathLike, mask_folder: str | os.PathLike
) -> tuple[list[Pair], list[BadFile]]:
    """Pairs the files of two folders by their names without extension.

    One folder given twice holds both: its JPEGs are images, its PNGs masks.

    Returns:
        The pairs in natural order of their keys, and the files that have no partner
        or that share their name with another file of the same kind.

    Raises:
        UserError: a folder does not exist.
    """
    image_files = images.list_images(image_folder)
    mask_files = images.list_images(mask_folder)
    if Path(image_folder).resolve() == Path(mask_folder).resolve():
        image_files = [p for p in image_files if p.suffix.lower() in _JPEG_EXTENSIONS]
        mask_files = [p for p in mask_files if p.suffix.lower() == ".png"]

    bad: list[BadFile] = []
    image_of = _by_stem(image_files, bad)
    mask_of = _by_stem(mask_files, bad)
    pairs = []
    for key in sorted(image_of.keys() | mask_of.keys(), key=images.natural_key):
        if key not in mask_of:
            reason = f"no mask of this name in {mask_folder}"
            bad.extend(BadFile(str(path), reason) for path in image_of[key])
        elif key not in image_of:
            reason = f"no image of this name in {image_folder}"
            bad.extend(BadFile(str(path), reason) for path in mask_of[key])
        elif len(image_of[key]) == 1 and len(mask_of[key]) == 1:
            pairs.append(Pair(key, image_of[key][0], mask_of[key][0]))
    return pairs, bad


def _by_stem(files: list[Path], bad: list[BadFile]) -> dict[str, list[Path]]:
    """Groups files by stem; stems that are not unique are also added to `bad`."""
    groups = defaultdict(list)
    for path in files:
        groups[path.stem].append(path)
    for group in groups.values():
        for path in group[1:]:
            bad.append(BadFile(str(path), f"has the same name as {group[0].name}"))
    return groups


def encode_pair(
    pair: Pair, *, max_pixels: int = images.MAX_PIXELS
) -> EncodedPair | list[BadFile]:
    """Reads, checks and encodes an image and its saliency mask.

    The bytes of image and mask are kept as they came when every decoder makes the same
    upright 8-bit picture of them.  Otherwise they are turned and encoded anew: as JPEG
    at quality 95 without chroma subsampling what was one, if an image, else as PNG.

    Args:
        pair: the files.
        max_pixels: the largest width x height accepted, checked before decoding.

    Returns:
        The encoded pair, or what is wrong with its files.
    """
    return _encode_pair(pair, max_pixels, _encode_mask, _odd)


def encode_class_pair(
    pair: Pair, *, max_pixels: int = images.MAX_PIXELS
) -> EncodedPair | list[BadFile]:
    """As `encode_pair`, with a class map (`class_maps.read_class_map`) as the mask."""
    return _encode_pair(pair, max_pixels, _encode_class_map, lambda mask: "")


def _encode_pair(
    pair: Pair,
    max_pixels: int,
    encode_mask: Callable[[Path, int], tuple[np.ndarray, bytes]],
    odd: Callable[[np.ndarray], str],
) -> EncodedPair | list[BadFile]:
    bad = []
    try:
        image, height, width, turned = encode_image(pair.image, max_pixels)
    except ImageError as error:
        bad.append(BadFile(error.name, error.reason))
    try:
        mask, encoded_mask = encode_mask(pair.mask, max_pixels)
    except ImageError as error:
        bad.append(BadFile(error.name, error.reason))
    if bad:
        return bad
    if mask.shape != (height, width):
        reason = (
            f"{mask.shape[1]} x {mask.shape[0]}, but its image {pair.image} is "
            f"{width} x {height} (width x height)"
        )
        if turned and mask.shape == (width, height):
            reason += " after its EXIF rotation, which the mask lacks"
        return [BadFile(str(pair.mask), reason)]
    return EncodedPair(
        key=pair.key,
        image=image,
        mask=encoded_mask,
        height=height,
        width=width,
        warning=odd(mask),
    )


def _odd(mask: np.ndarray) -> str:
    # Not an error: a saliency mask may be faint.  Only 0 and 1 is most likely a
    # class map, which would be stored as nearly black.
    if mask.max() == 1:
        return "the mask's largest value is 1 of 255; was 255 meant?"
    return ""


def encode_image(
    path: Path, max_pixels: int = images.MAX_PIXELS
) -> tuple[bytes, int, int, bool]:
    """Encoded bytes, height, width, and whether EXIF turned it a quarter."""
    with images.errors_named(str(path)):
        data = path.read_bytes()
        # Decoded even where the bytes are kept: that is what finds truncated files.
        image = images.load(data, max_pixels=max_pixels)
        plain = _plain(image)
        upright = image if plain else images.to_rgb(image)
    if not plain:
        data = _encode(upright, "JPEG" if image.format in _JPEG_FORMATS else "PNG")
    return data, upright.height, upright.width, upright.size != image.size


def _encode_mask(path: Path, max_pixels: int) -> tuple[np.ndarray, bytes]:
    """The mask as `images.read_mask` reads it, and as PNG bytes."""
    with images.errors_named(str(path)):
        data = path.read_bytes()
        image = images.load(data, max_pixels=max_pixels)
        grey = images.to_grey(image)
    if not (_plain(image) and _is_grey_png(data)):
        data = _encode(grey, "PNG")
    return np.array(grey), data


def _encode_class_map(path: Path, max_pixels: int) -> tuple[np.ndarray, bytes]:
    classes = read_class_map(path, max_pixels=max_pixels)
    return classes, _encode(Image.fromarray(classes), "PNG")


def _is_grey_png(data: bytes) -> bool:
    """Whether its header says PNG, 8 bits and grey."""
    return data.startswith(b"\x89PNG") and data[24:26] == b"\x08\x00"


def _plain(image: Image.Image) -> bool:
    """Whether TensorFlow's decoder makes of the file what `images.to_rgb` does."""
    return (
        image.format in ("JPEG", "PNG")
        and image.mode in ("RGB", "L")
        and images.orientation(image) == 1
        and not image.has_transparency_data
        and not getattr(image, "is_animated", False)
    )


def _encode(image: Image.Image, file_format: str) -> bytes:
    buffer = io.BytesIO()
    # `quality` and `subsampling` mean nothing to PNG, which ignores them.
    image.save(buffer, file_format, quality=95, subsampling=0)
    return buffer.getvalue()
