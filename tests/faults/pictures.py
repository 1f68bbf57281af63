"""Image and mask files of all formats and modes, damaged, and bombs."""

from __future__ import annotations

import random
import struct
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, features

from data_pipeline.bad_files import check_decodable
from data_pipeline.encoding import EncodedExample, encode_pair
from data_pipeline.pairs import Pair
from picanet_tf.core.images import read_image, read_mask
from tests.faults.mutations import spoil_bytes
from tests.faults.outcomes import (
    ERROR,
    READ,
    SKIP,
    Attempt,
    memory_rule,
    result_or_error,
    rule,
)
from tests.faults.records import encoded, with_png_checksums

# Small, so that a header that lies does not cost seconds; given as --max_pixels is.
MOST_PIXELS = 1_000_000
HEIGHT, WIDTH = 24, 31
# A decoded image differs from the re-encoded one by what JPEG loses, and two decoders
# of a damaged JPEG conceal the damage each in its own way.
JPEG_LOSS = 24
JPEG_DAMAGE = 4


def photo(seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 5, 3), np.uint8))
    return small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def files() -> dict[str, bytes]:
    """{name with extension: bytes}, of every format and mode that is read."""
    image = photo()
    grey, few = image.convert("L"), image.quantize(8)
    clear = image.convert("RGBA")
    clear.putalpha(grey)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    turns = {"save_all": True, "append_images": [image.rotate(90), image.rotate(180)]}
    found = {
        "rgb.jpg": encoded(image, "JPEG"),
        "grey.jpg": encoded(grey, "JPEG"),
        "cmyk.jpg": encoded(image.convert("CMYK"), "JPEG"),
        "progressive.jpg": encoded(image, "JPEG", progressive=True),
        "exif.jpg": encoded(image, "JPEG", exif=_exif(6)),
        "mpo.jpg": encoded(image, "MPO", save_all=True, append_images=[image]),
        "rgb.png": encoded(image),
        "exif.png": encoded(image, exif=_exif(8)),
        "clear-colour.png": encoded(image, transparency=image.getpixel((3, 3))),
        "few-clear.png": encoded(few, transparency=3),
        "16-bit.png": encoded(deep),
        "moving.png": encoded(image, **turns),
        "gif.gif": encoded(image, "GIF"),
        "clear.gif": encoded(few, "GIF", transparency=2),
        "moving.gif": encoded(image, "GIF", **turns, duration=50),
        "rgb.bmp": encoded(image, "BMP"),
        "few.bmp": encoded(few, "BMP"),
        "clear.bmp": encoded(clear, "BMP"),
        "rgb.webp": encoded(image, "WEBP"),
        "lossless.webp": encoded(clear, "WEBP", lossless=True),
        "moving.webp": encoded(image, "WEBP", **turns),
        "turned.tif": encoded(image, "TIFF", exif=_exif(5)),
        "float.tif": encoded(np.asarray(grey) / np.float32(255), "TIFF"),
        "pages.tif": encoded(image, "TIFF", save_all=True, append_images=[photo(1)]),
        "lab.tif": encoded(Image.merge("LAB", image.split()), "TIFF"),
        "deep.pgm": encoded(deep, "PPM"),
        "rgb.ppm": encoded(image, "PPM"),
        "bits.pbm": encoded(image.convert("1"), "PPM"),
    }  # fmt: skip
    for mode in ("L", "LA", "RGBA", "P", "1"):
        found[f"{mode}.png"] = encoded(clear.convert(mode))
    for compression in ("raw", "tiff_lzw", "tiff_deflate", "jpeg", "packbits"):
        options = {"compression": compression}
        found[f"{compression}.tif"] = encoded(image, "TIFF", **options)
    found["fax.tif"] = encoded(image.convert("1"), "TIFF", compression="group4")
    if features.check("avif"):
        found["rgb.avif"] = encoded(image, "AVIF")
    return found


def bombs(side: int = 65_000) -> dict[str, bytes]:
    """Files of a few bytes whose headers announce side x side pixels."""
    image = photo()
    png = bytearray(encoded(image))
    png[16:24] = struct.pack(">II", side, side)
    gif = bytearray(encoded(image, "GIF"))
    gif[6:10] = struct.pack("<HH", side, side)
    bmp = bytearray(encoded(image, "BMP"))
    bmp[18:26] = struct.pack("<II", side, side)
    jpeg = bytearray(encoded(image, "JPEG"))
    start = jpeg.index(b"\xff\xc0") + 5
    jpeg[start : start + 4] = struct.pack(">HH", side, side)
    tiff = bytearray(encoded(image, "TIFF"))
    for tag in (256, 257):
        for kind in (3, 4):
            entry = tiff.find(struct.pack("<HHI", tag, kind, 1))
            if entry >= 0:
                tiff[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, side)
    return {
        "bomb.png": with_png_checksums(bytes(png)),
        "bomb.gif": bytes(gif),
        "bomb.bmp": bytes(bmp),
        "bomb.jpg": bytes(jpeg),
        "bomb.tif": bytes(tiff),
        "bomb.ppm": b"P6 %d %d 255\n" % (side, side) + bytes(100),
    }


def make_images(folder: Path) -> Attempt:
    folder.mkdir(parents=True, exist_ok=True)
    whole = files()
    names = sorted(whole)
    decode = export_decoder()

    def attempt(rng: random.Random) -> str:
        name = rng.choice(names)
        data = spoil_bytes(rng, whole[name])
        if rng.random() < 0.1:  # The head of one file on another's body.
            data = whole[rng.choice(names)][: rng.randrange(64)] + data
        if rng.random() < 0.4:
            data = with_png_checksums(data)
        suffix = Path(name if rng.random() < 0.9 else rng.choice(names)).suffix
        path = folder / f"photo{suffix}"
        path.write_bytes(data)
        outcome = try_image(path, data)
        if rng.random() < 0.5:
            try_export(decode, data, path)
        return outcome

    return attempt


def try_image(path: Path, data: bytes) -> str:
    """Reads a file as predict does, and converts it; the two must see one picture."""
    most = {"max_pixels": MOST_PIXELS}
    image, error = result_or_error(lambda: read_image(path, **most), path)
    grey, mask_error = result_or_error(lambda: read_mask(path, **most), path)
    rule(bool(error) == bool(mask_error), "as image and as mask:", error, mask_error)
    if error:
        converted = encode_pair(Pair("photo", path, path), **most)
        rule(isinstance(converted, list), "converted, but not read:", error)
        rule(all(bad.file == str(path) for bad in converted), "another's name")
        return SKIP
    rule(image.dtype == np.uint8 and image.ndim == 3, image.dtype, image.shape)
    rule(image.shape == (*grey.shape, 3), image.shape, grey.shape)
    pair = Pair("photo", path, path)
    converted = encode_pair(pair, **most)
    rule(isinstance(converted, EncodedExample), "read, but not converted:", converted)
    (converted,) = check_decodable([pair], [converted])
    if isinstance(converted, list):
        rule(all(bad.file == str(path) for bad in converted), "another's name")
        return SKIP
    image_back, mask_back = decoded(converted)
    rule(np.array_equal(mask_back, grey), "the mask changed")
    kept = converted.image == data
    jpeg = converted.image.startswith(b"\xff\xd8")
    difference = np.abs(image_back.astype(int) - image).mean()
    most_difference = (JPEG_DAMAGE if kept else JPEG_LOSS) if jpeg else 0
    rule(image_back.shape == image.shape, image_back.shape, image.shape)
    rule(difference <= most_difference, "the image differs by", difference, kept)
    return READ


def decoded(example: EncodedExample) -> tuple[np.ndarray, np.ndarray]:
    """What TensorFlow reads of the record that an example becomes."""
    import tensorflow as tf

    from data_pipeline import schema

    payload = schema.encode_mask_record(
        key=example.key,
        image=example.image,
        height=example.height,
        width=example.width,
        **example.truth,
    )
    record = schema.decode_mask_record(tf.constant(payload))
    return record["image"].numpy(), record["mask"].numpy()[..., 0]


def export_decoder():
    import tensorflow as tf

    from picanet_tf.serving.decoding import decode_image

    return tf.function(
        lambda data: decode_image(data, 7, MOST_PIXELS),
        input_signature=[tf.TensorSpec([], tf.string)],
        autograph=False,
    )


def try_export(decode, data: bytes, path: Path) -> str:
    """The exported signature's decoding: refused by TensorFlow, or an image."""
    import tensorflow as tf

    try:
        image = decode(tf.constant(data)).numpy()
    except tf.errors.InvalidArgumentError as error:
        rule(bool(error.message), "an error without a text")
        return ERROR
    rule(image.dtype == np.uint8 and image.shape[2] == 3, image.dtype, image.shape)
    rule(0 not in image.shape, image.shape)
    rule(image.size <= 3 * MOST_PIXELS, image.shape)
    return READ


def make_bombs(folder: Path) -> Attempt:
    """Refused by the header, which takes no memory and no time."""
    folder.mkdir(parents=True, exist_ok=True)
    decode = export_decoder()

    def check(name: str, data: bytes, **options) -> None:
        path = folder / name
        path.write_bytes(data)
        for read in (read_image, read_mask):
            _, error = result_or_error(partial(read, path, **options), path)
            rule(error is not None, name, "was read")
        converted = encode_pair(Pair("bomb", path, path), **options)
        rule(isinstance(converted, list), name, "was converted")
        rule(try_export(decode, data, path) == ERROR, name, "was read")

    for name, data in bombs().items():  # The libraries loaded by it are not the bomb's.
        check(name, data)

    def attempt(rng: random.Random) -> str:
        side = rng.choice((65_000, 65_000, 20_000, 13_500, 1001))
        found = bombs(side)
        name = rng.choice(sorted(found))
        # As the commands do by default, and with their flag.
        default = side * side > 178_956_970
        options = {} if default and rng.random() < 0.5 else {"max_pixels": MOST_PIXELS}
        with memory_rule(50_000, name, side):
            check(name, found[name], **options)
        return SKIP

    return attempt


def masks(rng: random.Random) -> tuple[str, bytes]:
    """(name, file) of a mask: any values, any way to store them, any size."""
    size = rng.choice(((HEIGHT, WIDTH),) * 4 + ((WIDTH, HEIGHT), (1, 1), (25, 31)))
    noise = np.frombuffer(rng.randbytes(size[0] * size[1]), np.uint8)
    values = {
        "zeros": np.zeros(size, np.uint8),
        "ones": np.ones(size, np.uint8),
        "white": np.full(size, 255, np.uint8),
        "half": np.pad(np.zeros((size[0], size[1] // 2), np.uint8),
                       ((0, 0), (0, size[1] - size[1] // 2)), constant_values=255),
        "noise": noise.reshape(size),
    }  # fmt: skip
    mask = Image.fromarray(values[rng.choice(sorted(values))])
    how = rng.choice(
        ("L", "1", "P", "RGB", "RGBA", "LA", "alpha", "index", "16", "JPEG", "CMYK",
         "GIF", "BMP", "TIFF", "WEBP", "float", "turned", "swatch")
    )  # fmt: skip
    if how == "16":
        return "a.png", encoded(np.asarray(mask).astype(np.uint16) * 257)
    if how == "float":
        return "a.tif", encoded(np.asarray(mask) / np.float32(255), "TIFF")
    if how == "turned":
        return "a.png", encoded(mask, exif=_exif(rng.randrange(1, 10)))
    if how == "alpha":  # The object is what is not transparent.
        white = Image.new("L", mask.size, 255)
        return "a.png", encoded(Image.merge("LA", (white, mask)))
    if how in ("index", "swatch"):  # Classes by number, in a palette of any colours.
        palette = mask.point(lambda value: value // 128).convert("P")
        colours = (0, 0, 0, 255, 255, 255) if how == "index" else (9, 9, 9, 128, 0, 0)
        palette.putpalette(colours)
        return "a.png", encoded(palette)
    if how == "CMYK":
        return "a.jpg", encoded(mask.convert("RGB").convert("CMYK"), "JPEG")
    if how in ("JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        suffix = {"JPEG": "jpg", "TIFF": "tif"}.get(how, how.lower())
        return f"a.{suffix}", encoded(mask, how)
    return "a.png", encoded(mask.convert(how))


def make_masks(folder: Path) -> Attempt:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "image.png").write_bytes(encoded(photo()))

    def attempt(rng: random.Random) -> str:
        name, data = masks(rng)
        if rng.random() < 0.3:
            data = spoil_bytes(rng, data)
        path = folder / f"mask{Path(name).suffix}"
        path.write_bytes(data)
        most = {"max_pixels": MOST_PIXELS}
        mask, error = result_or_error(lambda: read_mask(path, **most), path)
        result = encode_pair(Pair("a", folder / "image.png", path), **most)
        if isinstance(result, list):
            rule([bad.file for bad in result] == [str(path)], "names", result)
            rule(bool(error) or mask.shape != (HEIGHT, WIDTH), "refused:", *result)
            return SKIP
        rule(not error and mask.shape == (HEIGHT, WIDTH), "converted:", error)
        pair = Pair("a", folder / "image.png", path)
        (result,) = check_decodable([pair], [result])
        if isinstance(result, list):
            rule([bad.file for bad in result] == [str(path)], "names", result)
            return SKIP
        image, stored = decoded(result)
        rule(np.array_equal(stored, mask), "another mask is stored")
        rule(np.array_equal(image, np.asarray(photo())), "another image is stored")
        return READ

    return attempt


KINDS = {"images": make_images, "bombs": make_bombs, "masks": make_masks}
