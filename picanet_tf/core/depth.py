"""Reduces 16-bit images to 8 bits by the depth that their values really have.

Cameras and scanners store 10 or 12 bits in files of 16, often without scaling them.
Reduced by the depth of the file, such an image would be nearly black.
"""

import re
from collections.abc import Callable

import numpy as np
from PIL import Image

# Depths that are recognised by the largest value. Not 14 bits: in many dark 16-bit
# images, no value is above a quarter of white.
_GUESSES = (8, 10, 12)
# TIFF tags.
BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLE_VALUE = 258, 262, 281
# Pillow's raw modes of which it keeps only the upper 8 of 16 bits, with the byte order;
# and those of 2- and 4-bit grey, which it scales to 8 bits, with options.
_REDUCED = re.compile(r"(RGB|RGBX|RGBA);16[BLN]|LA;16B")
_NARROW = re.compile(r"L;([24])[IR]*")


def reduced_mode(image: Image.Image) -> str:
    """Returns an opened image's raw mode if Pillow reduces 16 bits to 8, else ""."""
    tile = getattr(image, "tile", None)
    rawmode = _rawmode(tile[0]) if tile else ""
    return rawmode if _REDUCED.fullmatch(rawmode) else ""


def stored_white(image: Image.Image) -> int:
    """Returns the value of white in the file of an image whose values Pillow scales.

    Pillow scales grey of 2 and 4 bits, PGM and PPM, and colours of 16 bits.

    Args:
        image: opened, but not yet decoded.

    Returns:
        The value that becomes 255, or 65535 in mode I; 0 if values stay as they are.
    """
    tile = getattr(image, "tile", None)
    if not tile:
        return 0
    if tile[0].codec_name in ("ppm", "ppm_plain"):
        return tile[0].args[1] if isinstance(tile[0].args, tuple) else 0
    if narrow := _NARROW.fullmatch(_rawmode(tile[0])):
        return 2 ** int(narrow[1]) - 1
    return 65535 if reduced_mode(image) else 0


def read_lower_bits(opened: Image.Image) -> Image.Image:
    """Decodes the lower 8 of 16 bits per channel.

    Pillow keeps the upper byte of each sample. Told the opposite byte order, it takes
    the lower byte for the upper one.

    Args:
        opened: an image that is not yet decoded and has a `reduced_mode`.

    Returns:
        An image with 8 bits per channel and the channels of the file.
    """
    tiles = []
    for tile in opened.tile:
        rawmode = _rawmode(tile)
        other = rawmode[:-1] + ("L" if rawmode[-1] == "B" else "B")
        if rawmode == "LA;16B":  # Read as single bytes: Pillow knows only this order.
            other = "RGBA"
        rest = () if isinstance(tile.args, str) else tile.args[1:]
        args = other if isinstance(tile.args, str) else (other, *rest)
        tiles.append(tile._replace(args=args))
    opened.tile = tiles
    opened.load()
    if other == "RGBA":
        _, grey, _, alpha = opened.split()
        return Image.merge("RGBA", (grey, grey, grey, alpha))
    return opened


def _rawmode(tile) -> str:
    args = tile.args
    return str(args[0] if isinstance(args, tuple) else args)


def to_8_bit(image: Image.Image, warn: Callable[[str], None] | None) -> Image.Image:
    """Reduces a loaded image to 8 bits per channel, if it has more.

    The depth is the one that the file declares: sBIT of PNG, BitsPerSample or
    MaxSampleValue of TIFF. Otherwise it is 8, 10 or 12 bits if no value needs more,
    else 16.

    Args:
        image: from `opening.load`.
        warn: called with a message if the depth is a guess. None: all images have 16
            bits, as masks do.

    Returns:
        The image in 8 bits: L or LA from grey, RGB or RGBA from colours.

    Raises:
        ValueError: see `read_16_bit`.
    """
    values = _values(image, lower_bits=warn is not None)
    if values is None:
        return image
    bits = 16 if warn is None else _depth(image, values, warn)
    top = 2**bits - 1
    table = (2 * 255 * np.arange(65536) + top) // (2 * top)  # Rounded.
    small = table.clip(0, 255).astype(np.uint8)[values]
    if image.mode == "RGBA" and values[..., 3].max(initial=0) > top:
        small[..., 3] = values[..., 3] >> 8  # Alpha uses all 16 bits nonetheless.
    reduced = Image.fromarray(small)
    if (opaque := _opaque(image, values)) is not None:
        reduced.putalpha(Image.fromarray(opaque))
    return reduced


def read_dark_colours(
    image: Image.Image,
) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Returns the pixels of a nearly black image from `opening.load` at 16 bits.

    Returns:
        Colours, uint16 [H, W, 3], and alpha, uint8 [H, W] or None; or None if the file
        has 8 bits or the image is brighter.
    """
    if "lower_bits" not in image.info:
        return None
    values = _values(image, lower_bits=True)
    if values.shape[2] == 4:
        return values[..., :3], np.uint8(values[..., 3] >> 8)
    return values, _opaque(image, values)


def _opaque(image: Image.Image, values: np.ndarray) -> np.ndarray | None:
    """Returns the alpha of a colour that is declared transparent, if there is one.

    Returns:
        uint8 [H, W], 0 where `values` have that colour, else 255; or None.
    """
    source = image.info.get("lower_bits", image)
    if (clear := source.info.get("transparency")) is None:
        return None
    same = (values == np.array(clear)).reshape(*values.shape[:2], -1).all(axis=-1)
    return np.where(same, 0, 255).astype(np.uint8)


def _values(image: Image.Image, lower_bits: bool) -> np.ndarray | None:
    """Returns 16-bit values, uint16 [H, W] or [H, W, C]; None if the image has none."""
    if image.mode.startswith("I"):
        return read_16_bit(image)
    if lower_bits and "lower_bits" in image.info:
        upper = np.asarray(image).astype(np.uint16) << 8
        return upper | np.asarray(image.info["lower_bits"])
    return None


def read_16_bit(image: Image.Image) -> np.ndarray:
    """Returns the values of a loaded grey image with more than 8 bits, uint16 [H, W].

    Raises:
        ValueError: if a value is outside 0..65535.
    """
    values = np.asarray(image)  # Pillow's own conversion to L clips at 255.
    if values.size and not 0 <= values.min() <= values.max() <= 65535:
        raise ValueError(
            "pixels must be 0 to 65535, which is 16 bits. Received: "
            f"{values.min()} to {values.max()}"
        )
    # Pillow inverts TIFFs in which 0 is white, but not those of 16 bits.
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:
        values = 65535 - values
    return values.astype(np.uint16)


def _depth(image: Image.Image, values: np.ndarray, warn: Callable[[str], None]) -> int:
    """Returns the bits per channel that 16-bit values really have; see `to_8_bit`."""
    colours = values[..., :3] if values.ndim == 3 else values
    largest = int(colours.max(initial=0))
    if image.format == "PPM" or not largest:
        return 16  # Pillow scales PPM by its largest value.
    tags = getattr(image, "tag_v2", {})
    if 8 < (bits := number_of(tags.get(BITS_PER_SAMPLE))) < 16:
        return bits
    declared = number_of(tags.get(_MAX_SAMPLE_VALUE))
    bits = declared.bit_length()
    # Many writers put the largest value of the image here, which says nothing.
    if largest <= declared < 65535 and declared == 2**bits - 1 and bits >= 8:
        return bits
    if significant := max(image.info.get("sbit", b""), default=0):
        # PNG requires them to be the upper bits; the values show if a file breaks that.
        below = (1 << max(0, 16 - significant)) - 1
        is_scaled = largest >> significant or not (colours & below).any()
        return 16 if is_scaled else significant
    for bits in _GUESSES:
        if largest < 2**bits:
            warn(
                f"taken as {bits} bits per channel: no value of the 16-bit image is "
                f"above {largest}"
            )
            return bits
    return 16


def number_of(value: object) -> int:
    """Returns a tag's number, the first of several; 0 if it is not a number."""
    if isinstance(value, tuple):
        value = value[0] if value else 0
    return value if isinstance(value, int) else 0
