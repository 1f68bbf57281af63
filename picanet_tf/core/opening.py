"""Opens image files with Pillow, and decodes their pixels as they are stored."""

import io
import os
import re
import struct
import warnings
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from picanet_tf.core.depth import (
    BITS_PER_SAMPLE,
    number_of,
    read_lower_bits,
    reduced_mode,
    stored_white,
)

ImageSource = str | os.PathLike | bytes | Image.Image

# Pillow's hard limit, twice `PIL.Image.MAX_IMAGE_PIXELS`.
MAX_PIXELS = 178_956_970

EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .gif .tif .tiff .webp .avif .heic .heif .hif "
    ".pbm .pgm .ppm .pnm".split()
)
# Explicit, because Pillow also opens formats that run other programs (EPS, PDF).
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "AVIF")

_LOSSY = ("JPEG", "MPO", "WEBP", "AVIF", "HEIF")
_LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")

# {PNG chunk to read: its maximum length}
_PNG_CHUNKS = {b"cICP": 4, b"sBIT": 4}
# Brands of ISO 23008-12's file type box. The first group means HEVC; files with the
# second may use any codec, and are AVIF if they also have a brand of the third.
_HEVC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_HEIF_BRANDS = {b"mif1", b"mif2", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}

# Tags of TIFF.
_NEW_SUBFILE_TYPE, _PLANAR_CONFIGURATION = 254, 284
_AVIF_HEAD = 65_536  # bytes that hold the boxes ahead of the pixels

# Between MAX_IMAGE_PIXELS and the hard limit Pillow only warns; see `max_pixels`.
# Appended, so that a filter of the program's own goes before it.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning, append=True)


def open_image(file: BinaryIO) -> Image.Image:
    """Opens an image without decoding its pixels.

    Args:
        file: a seekable binary file of one of `FORMATS` or HEIF. Not a path: Pillow
            would memory-map uncompressed files, which garbles the EXIF rotation of a
            TIFF (Pillow 13.0).

    Returns:
        The image. The `info` of a PNG also has its chunks `cicp` and `sbit`, as bytes;
        that of an AVIF has its `nclx_profile`, in pillow-heif's format.

    Raises:
        ValueError: if it is a HEIC file, and pillow-heif is not installed or cannot
            read it; or a TIFF that Pillow would misread, see `_check_tiff`.
        Exception: Pillow's exceptions, of many kinds; see `images.errors_named`.
    """
    start = file.tell()
    head = file.read(_AVIF_HEAD)
    if _is_heif(head[:256]):
        _register_heif()
        file.seek(start)
        try:
            return Image.open(file, formats=("HEIF",))
        except UnidentifiedImageError:
            raise ValueError("a damaged HEIC (HEIF) file") from None
    file.seek(start)
    chunks = _png_chunks(file)
    file.seek(start)
    image = Image.open(file, formats=FORMATS)
    image.info.update(chunks)
    if image.format == "TIFF":
        _check_tiff(image)
    if image.format == "AVIF" and (nclx := _nclx_of(head)):
        image.info.setdefault("nclx_profile", nclx)
    return image


def _check_tiff(image: Image.Image) -> None:
    """Raises `ValueError` if the picture is a preview, or Pillow would misread it."""
    tags = image.tag_v2
    if number_of(tags.get(_NEW_SUBFILE_TYPE)) & 1:
        raise ValueError(
            "its first picture is a reduced copy, as in cameras' raw files (DNG, NEF): "
            "develop it, and save it as TIFF or JPEG"
        )
    bits, planar = tags.get(BITS_PER_SAMPLE), tags.get(_PLANAR_CONFIGURATION)
    several = len(image.getbands()) > 1
    if several and number_of(bits) > 8 and number_of(planar) == 2:
        raise ValueError(
            f"a TIFF of {number_of(bits)} bits whose colours are stored one after the "
            "other (in planes), which cannot be read: save it interleaved (per pixel)"
        )
    image.info.pop("xmp", None)  # Pillow would turn the picture by it; viewers do not.


def load(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Opens and decodes an image as stored.

    If Pillow scales the values, `info["stored_white"]` is the value of white in the
    file. For nearly black 16-bit colours, which Pillow reduces to their upper 8 bits,
    `info["lower_bits"]` is an image of the lower 8.

    Args:
        source: path, encoded bytes, or a Pillow image, which is decoded in place.
        max_pixels: largest width x height accepted.

    Raises:
        ValueError: if the image is too large.
        Exception: see `open_image`.
    """
    if isinstance(source, Image.Image):
        return _load(source, max_pixels)
    with (
        io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file
    ):
        if not file.seekable():  # A pipe.
            with io.BytesIO(file.read()) as content:
                return _load(open_image(content), max_pixels)
        return _load(open_image(file), max_pixels)


def _load(image: Image.Image, max_pixels: int) -> Image.Image:
    _check_size(image, max_pixels)
    tile = getattr(image, "tile", None)
    rawmode = tile[0].args if image.format == "PNG" and tile else ""
    file, reduced = getattr(image, "fp", None), reduced_mode(image)
    if white := stored_white(image):
        image.info["stored_white"] = white
    image.load()
    _check_size(image, max_pixels)  # In a HEIC, the pixels may say otherwise.
    # In brighter images, the lower 8 of 16 bits are little more than noise.
    if reduced and not file.closed and _is_nearly_black(image):
        file.seek(0)
        image.info["lower_bits"] = read_lower_bits(Image.open(file, formats=FORMATS))
    _scale_clear_colour(image, rawmode)
    return image


def _is_nearly_black(image: Image.Image) -> bool:
    """Whether no colour channel of an RGB or RGBA image has a value of 16 or more."""
    return all(largest < 16 for _, largest in image.getextrema()[:3])


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ValueError(
            f"at most {max_pixels:,} pixels are accepted, the image has "
            f"{width} x {height}"
        )


def _scale_clear_colour(image: Image.Image, rawmode: object) -> None:
    """Scales the colour that a PNG declares transparent (tRNS) to match its pixels.

    Pillow scales pixels of 2, 4 and 3 x 16 bits to 8, but not this colour (Pillow 13).
    """
    clear = image.info.get("transparency")
    if rawmode in ("L;2", "L;4") and isinstance(clear, int):
        image.info["transparency"] = clear * 255 // (3 if rawmode == "L;2" else 15)
    elif rawmode == "RGB;16B" and isinstance(clear, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in clear)


def _png_chunks(file: BinaryIO) -> dict[str, bytes]:
    """Returns chunks of a PNG that Pillow ignores, by name; {} for other files."""
    found: dict[str, bytes] = {}
    if file.read(8) != b"\x89PNG\r\n\x1a\n":
        return found
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name == b"IDAT":
            break
        if length <= _PNG_CHUNKS.get(name, -1):
            found[name.decode().lower()] = file.read(length)
            length = 0
        file.seek(length + 4, os.SEEK_CUR)  # 4: the checksum
    return found


def _nclx_of(head: bytes) -> dict[str, int]:
    """Returns the colour codes that an AVIF declares, in pillow-heif's format.

    {} if there are none, or if parts such as thumbnails declare different ones.
    """
    places = [found.end() for found in re.finditer(b"colrnclx", head)]
    codes = {head[place : place + 4] for place in places}
    if len(codes) != 1 or len(code := codes.pop()) < 4:
        return {}
    primaries, transfer = struct.unpack(">HH", code)
    return {"color_primaries": primaries, "transfer_characteristics": transfer}


def _is_heif(head: bytes) -> bool:
    """Whether a file that starts with `head` is a HEIF file, but not AVIF."""
    if head[4:8] != b"ftyp":
        return False
    (size,) = struct.unpack(">I", head[:4])
    # The major brand, its version, and the compatible brands.
    brands = {head[i : i + 4] for i in range(8, min(size, len(head)), 4) if i != 12}
    is_hevc, is_avif = brands & _HEVC_BRANDS, brands & _AVIF_BRANDS
    return bool(is_hevc or brands & _HEIF_BRANDS and not is_avif)


def is_lossy(image: Image.Image) -> bool:
    """Whether an opened image was, or may have been, compressed with loss."""
    return image.format in _LOSSY or image.info.get("compression") in _LOSSY_TIFF


def _register_heif() -> None:
    """Lets Pillow open HEIF files."""
    try:
        import pillow_heif
    except ImportError as error:
        raise ValueError(
            "HEIC (HEIF) images require pillow-heif: pip install pillow-heif"
        ) from error
    if "HEIF" not in Image.OPEN:
        pillow_heif.register_heif_opener()
