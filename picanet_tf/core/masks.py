"""Reads masks as people save them: soft or as indices, in grey, colour or alpha.

`predict`'s maps and the masks of the known data sets are grey and are read with
`images.read_mask` instead. Imports no TensorFlow.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from absl import logging
from PIL import Image

from picanet_tf.core import images
from picanet_tf.core.depth import read_16_bit, read_dark_colours
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import MAX_PIXELS, errors_named, load
from picanet_tf.core.opening import is_lossy

# The foreground of a mask is above this value, as in `evaluate`.
FOREGROUND = 128
# Grey without a larger value holds indices, of classes or objects: VOC has 20 classes.
MAX_INDEX = 20
# After lossy compression, the largest difference between the channels of a grey pixel,
# and the largest channel of a black one. With the latter, at JPEG qualities 50 to 95,
# noise around VOC's class colours, the darkest of which have a channel of 64, makes
# less than 0.6 % of the pixels foreground.
_GREY_NOISE, _BLACK_NOISE = 16, 32
# An image is a photo if more than 45 % of its pixels are outside its most frequent
# colours. So are 97 % of 964 photos of DUTS, ECSSD and VOC; VOC's class maps, shrunk to
# two thirds and saved as JPEG, have at most 36 %. Tiny JPEGs are mostly noise.
_FREQUENT_COLOURS, _MAX_OUTSIDE = 24, 0.45
_COUNTED_PIXELS, _MIN_LOSSY_PIXELS = 250_000, 10_000
_PHOTO_REMEDY = "Are the folders of photos and masks swapped?"
_ALPHA_REMEDY = (
    "If its transparency is the mask, save the alpha channel alone, as a grey PNG; "
    "picanet predict writes masks with --format mask"
)

ONE_BIT = "1-bit"
SOFT = "{} grey (soft)"
VOID = "8-bit grey (soft), only 0 to 20 and 255: class numbers?"
INDICES = "indices up to {largest}, non-zero is foreground"
COLOUR = "colour, non-black is foreground"
ALPHA = "alpha channel (soft)"
BLACK = "all black"


class MaskNote(NamedTuple):
    """How a mask was read.

    Attributes:
        file: its path.
        kind: what the file holds, one of `ONE_BIT`, `SOFT`, ..., `BLACK`.
        largest: the largest value; of indices as stored, otherwise of 8 or 16 bits.
        foreground: whether any pixel of the mask is above `FOREGROUND`.
        bright_border: whether most of its border is above `FOREGROUND`.
        inverted: whether it was inverted.
    """

    file: str
    kind: str
    largest: int
    foreground: bool
    bright_border: bool
    inverted: bool = False


class Reading(NamedTuple):
    """An upright mask, uint8 `(height, width)`, 0..255, and how it was read."""

    mask: np.ndarray
    note: MaskNote


def read_any_mask(
    source: images.ImageSource,
    *,
    invert: bool = False,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
) -> Reading:
    """Reads a mask file, whatever it stores.

    - 1 bit: as it is.
    - Grey: if no value of the file is above 20 and its compression is lossless, as in
      every file of 2 or 4 bits, the values are indices, and all but 0 is foreground.
      Otherwise the mask is soft: value / 255 or / 65535.
    - Colour and palettes with R = G = B: as grey.
    - Other colour: all but black is foreground. No colour is taken for a border or
      void.
    - Transparency: if all visible pixels have the same colour, the alpha channel is the
      mask, which is soft. Otherwise, transparent pixels are black.
    - JPEG, WebP, AVIF and HEIC, because of their noise: colours count as grey if R, G
      and B differ by up to 16, and as black up to 32.

    Args:
        source: path, encoded bytes, or a Pillow image.
        invert: whether to invert the mask.
        max_pixels: see `images.read_image`.
        name: name of the mask in messages; by default the path.

    Raises:
        ImageError: as `images.read_image`, or if the file is a photo: more than 45 % of
            its pixels are outside its 24 most frequent colours (a file with lossy
            compression must also have 10,000 pixels or more).
    """
    if name is None:
        name = os.fspath(source) if isinstance(source, str | os.PathLike) else "mask"
    with errors_named(name):
        image = load(source, max_pixels=max_pixels)
        turn = images.orientation(image)
        mask, kind, largest = _read(image)
        if invert:
            mask = 255 - mask
        mask = np.array(images.turn_upright(Image.fromarray(mask), turn))
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    bright_border = bool((border > FOREGROUND).mean() > 0.5)
    found = bool(mask.max() > FOREGROUND)
    note = MaskNote(name, kind, int(largest), found, bright_border, invert)
    return Reading(mask, note)


def _read(image: Image.Image) -> tuple[np.ndarray, str, int]:
    """Returns the stored pixels as a mask, its kind, and the largest value."""
    lossy = is_lossy(image)
    images.check_range(image)
    white = image.info.get("stored_white", 0)
    if image.mode.startswith("I"):  # 16-bit grey, and PGM and TIFF of 32 bits.
        return _read_grey(np.int64(read_16_bit(image)), 65535, white or 65535, lossy)
    if not image.has_transparency_data:
        if image.mode == "1":
            mask = np.uint8(image) * 255
            return mask, ONE_BIT if mask.any() else BLACK, mask.max()
        if image.mode == "L":
            return _read_grey(np.asarray(image), 255, white or 255, lossy)
    rgb, alpha = _colours(image, white)
    top = np.iinfo(rgb.dtype).max
    if alpha is not None:
        if alpha.min() < alpha.max():
            visible = rgb[alpha > 0]
            if (visible == visible[0]).all():
                return alpha, ALPHA, alpha.max()
            if not _is_grey(visible, lossy):
                _refuse_photo(visible, lossy, has_alpha=True)
            product = rgb * alpha[..., None].astype(
                np.uint16 if top == 255 else np.uint32
            )
            rgb = ((product + 127) // 255).astype(rgb.dtype)
        elif not alpha.any():
            rgb = np.zeros_like(rgb)
    elif image.mode == "P":
        indices = np.asarray(image)
        if (rgb == rgb[0, 0]).all() and indices.min() < indices.max():
            # A palette that was never filled in.
            return _read_grey(indices, 255, 255, lossy)
    if _is_grey(rgb, lossy):
        grey = Image.fromarray(rgb).convert("L") if lossy else rgb[..., 0]
        return _read_grey(np.asarray(grey), top, white or top, lossy)
    _refuse_photo(rgb.reshape(-1, 3), lossy)
    mask = np.uint8(_brightest(rgb) > _BLACK_NOISE * lossy) * 255
    return mask, COLOUR, rgb.max()


def _colours(image: Image.Image, white: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns colours, uint8 or uint16 `(height, width, 3)`, and any alpha, uint8."""
    if dark := read_dark_colours(image):
        return dark
    alpha = None
    if image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"))
        rgb, alpha = rgba[..., :3], rgba[..., 3]
    else:
        rgb = np.asarray(image.convert("RGB"))
    if white > 255 and rgb.max() < 16:
        raise ValueError(
            "16-bit colours of this format are read as 8 bits, which leaves no value "
            f"above {rgb.max()}; save the mask as PNG"
        )
    return rgb, alpha


def _is_grey(rgb: np.ndarray, lossy: bool) -> bool:
    darkest = np.minimum(np.minimum(rgb[..., 0], rgb[..., 1]), rgb[..., 2])
    return bool((_brightest(rgb) - darkest).max() <= _GREY_NOISE * lossy)


def _brightest(rgb: np.ndarray) -> np.ndarray:
    """Returns the largest channel, ten times as fast as `rgb.max(-1)`."""
    return np.maximum(np.maximum(rgb[..., 0], rgb[..., 1]), rgb[..., 2])


def _read_grey(
    values: np.ndarray, top: int, white: int, lossy: bool
) -> tuple[np.ndarray, str, int]:
    """Reads values in which white is `top`, 255 or 65535, and in the file `white`."""
    largest = int(values.max())
    if not largest:
        return np.zeros(values.shape, np.uint8), BLACK, largest
    stored = round(largest * white / top)
    if stored <= MAX_INDEX and not lossy:
        return np.uint8(values > 0) * 255, INDICES, stored
    if top > 255:
        mask = ((np.uint32(values) + 128) // 257).astype(np.uint8)
        return mask, SOFT.format("16-bit"), largest
    used = np.flatnonzero(np.bincount(values.ravel()))
    class_numbers = used[-1] == 255 and 0 < max(used[:-1], default=0) <= MAX_INDEX
    kind = VOID if class_numbers and not lossy else SOFT.format("8-bit")
    return values.astype(np.uint8), kind, largest


def _refuse_photo(colours: np.ndarray, lossy: bool, has_alpha: bool = False) -> None:
    """Raises `ValueError` if the colours, `(pixels, 3)`, are those of a photo."""
    if lossy and len(colours) < _MIN_LOSSY_PIXELS:
        return
    colours = colours[:: -(-len(colours) // _COUNTED_PIXELS)]
    red, green, blue = colours.astype(np.uint64).T
    packed = red << 32 | green << 16 | blue
    packed[_brightest(colours) <= _BLACK_NOISE * lossy] = 0
    _, counts = np.unique(packed, return_counts=True)
    outside = np.sort(counts)[:-_FREQUENT_COLOURS].sum() / counts.sum()
    if outside > _MAX_OUTSIDE:
        raise ValueError(
            f"a photo, not a mask: {outside:.0%} of its pixels are outside its "
            f"{_FREQUENT_COLOURS} most frequent colours (in a mask, at most "
            f"{_MAX_OUTSIDE:.0%}). {_ALPHA_REMEDY if has_alpha else _PHOTO_REMEDY}"
        )


def report_masks(
    notes: Sequence[MaskNote], origin: str, tell: Callable[[str], object]
) -> None:
    """Reports how the masks of a data set were read, and warns of what looks wrong.

    Args:
        notes: one for each mask of the data set.
        origin: where the masks are, for messages.
        tell: called with a line for each kind of mask, the most frequent first.

    Raises:
        PicanetError: if no mask has foreground.
    """
    for line in describe(notes):
        tell(line)
    empty = [note for note in notes if not note.foreground]
    if empty:
        text = f"of {_count(len(notes), 'mask')} without foreground: {_why(empty)}"
        if len(empty) == len(notes):
            raise PicanetError(f"{origin}: {len(empty):,} {text}")
        logging.warning("%s: %d %s", origin, len(empty), text)
    classes = [note for note in notes if note.kind == VOID]
    if classes:
        logging.warning(
            "%s: %d of %s hold only 0 to 20 and 255, such as %s: if these are classes, "
            "only the pixels of 255 become foreground. To have all classes as "
            "foreground, save the masks without a value above 20",
            *(origin, len(classes), _count(len(notes), "mask"), classes[0].file),
        )
    bright = [note for note in notes if note.bright_border]
    if len(bright) > len(notes) / 2:
        hint = "if black is the object in them, --invert_masks inverts them"
        if bright[0].inverted:
            hint = "they were inverted; if white is the object in the files, leave "
            hint += "--invert_masks out"
        logging.warning(
            "%s: %d of %s bright along most of the border, such as %s: %s",
            *(origin, len(bright), _count(len(notes), "mask"), bright[0].file, hint),
        )


def describe(notes: Iterable[MaskNote]) -> list[str]:
    """Returns a line for each kind of mask, with counts."""
    counts: Counter[str] = Counter()
    largest: Counter[str] = Counter()
    for note in notes:
        counts[note.kind] += 1
        largest[note.kind] = max(largest[note.kind], note.largest)
    return [
        f"{_count(count, 'mask')}: {kind.format(largest=largest[kind])}"
        for kind, count in counts.most_common()
    ]


def _why(empty: list[MaskNote]) -> str:
    """Names the empty mask that is nearest to having foreground."""
    note = max(empty, key=lambda note: note.largest)
    depth = "65,535" if note.kind == SOFT.format("16-bit") else "255"
    text = (
        f"no value above {FOREGROUND} of 255; the largest is {note.largest:,} of "
        f"{depth}, in {note.file}"
    )
    if note.kind.startswith("8-bit") and note.largest <= MAX_INDEX:
        text += "; indices need a lossless format, such as PNG"
    return text


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
