"""Decoding inside the graph equals `read_image`, and nothing bad gets through."""

import struct
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from picanet_tf.core.images import read_image
from picanet_tf.serving.decoding import decode_image
from tests.serving.networks import encoded, photo

MOST = 100_000


@pytest.fixture(scope="module")
def decode():
    @tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
    def function(data):
        return decode_image(data, 7, MOST)

    return lambda data: function(data).numpy()


def files():
    image = Image.fromarray(photo())
    rng = np.random.default_rng(0)
    grey = image.convert("L")
    see_through = image.convert("RGBA")
    see_through.putalpha(Image.fromarray(rng.integers(0, 256, (30, 45), np.uint8)))
    few = image.quantize(8)
    turned = {"save_all": True, "append_images": [image.rotate(90)]}
    yield "jpeg", encoded(image, "JPEG", quality=90)
    yield "progressive jpeg", encoded(image, "JPEG", progressive=True)
    yield "grey jpeg", encoded(grey, "JPEG")
    yield "cmyk jpeg", encoded(image.convert("CMYK"), "JPEG")
    yield "png", encoded(image, "PNG")
    yield "grey png", encoded(grey, "PNG")
    yield "palette png", encoded(few, "PNG")
    yield "bilevel png", encoded(image.convert("1"), "PNG")
    yield "rgba png", encoded(see_through, "PNG")
    yield "grey and alpha png", encoded(see_through.convert("LA"), "PNG")
    yield "palette png, one clear", encoded(few, "PNG", transparency=3)
    yield "grey png, one clear", encoded(grey, "PNG", transparency=100)
    clear = image.getpixel((3, 3))
    yield "png, one clear", encoded(image, "PNG", transparency=clear)
    yield "gif", encoded(image, "GIF")
    yield "interlaced gif", encoded(image, "GIF", interlace=1)
    yield "moving gif", encoded(image, "GIF", **turned, duration=100, loop=0)
    yield "commented gif", encoded(image, "GIF", comment=b"hello" * 200)
    yield "bmp", encoded(image, "BMP")
    yield "grey bmp", encoded(grey, "BMP")
    yield "rgba bmp", encoded(see_through, "BMP")
    yield "bmp, top down", top_down(encoded(image, "BMP"))
    yield "one pixel", encoded(np.full([1, 1, 3], 9, np.uint8), "PNG")


def top_down(bmp):
    head, body, row = bytearray(bmp[:54]), bmp[54:], (45 * 3 + 3) // 4 * 4
    head[22:26] = struct.pack("<i", -30)
    return bytes(head) + b"".join(body[i * row :][:row] for i in reversed(range(30)))


@pytest.mark.parametrize(("name", "data"), files())
def test_decoding_equals_read_image(decode, name, data):
    wanted = read_image(data)
    assert wanted.std() > 20 or name == "one pixel"
    np.testing.assert_array_equal(decode(data), wanted)


def test_sixteen_bits_agree_within_one_grey_level(decode):
    deep = photo()[..., 0].astype(np.uint16) * 257 + 100
    data = encoded(Image.fromarray(deep), "PNG")
    difference = np.abs(decode(data).astype(int) - read_image(data))
    assert difference.max() <= 1


def exif(order, orientation, directory=8):
    """EXIF with the camera's maker ahead of the orientation."""
    e = {"little": "<", "big": ">"}[order]
    magic = {"little": b"II*\0", "big": b"MM\0*"}[order]
    return (
        b"Exif\0\0"
        + magic
        + struct.pack(e + "I", directory)
        + bytes(directory - 8)
        + struct.pack(e + "H", 3)
        + struct.pack(e + "HHI4s", 0x010F, 2, 4, b"cam\0")
        + struct.pack(e + "HHIHH", 0x0112, 3, 1, orientation, 0)
        + struct.pack(e + "HHII", 0x8769, 4, 1, 0)
        + bytes(4)
    )


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("orientation", range(10))
def test_orientation(decode, orientation, order):
    data = encoded(photo(), "JPEG", exif=exif(order, orientation))
    wanted = read_image(data)
    assert wanted.shape[:2] == ((45, 30) if 5 <= orientation <= 8 else (30, 45))
    np.testing.assert_array_equal(decode(data), wanted)


def test_orientation_of_a_png(decode):
    tag = Image.Exif()
    tag[0x0112] = 6
    data = encoded(photo(), "PNG", exif=tag)
    assert decode(data).shape == (45, 30, 3)
    np.testing.assert_array_equal(decode(data), read_image(data))


def test_orientation_behind_other_segments(decode):
    plain = encoded(photo(), "JPEG", exif=exif("big", 6, directory=500))
    other = b"\xff\xe1" + struct.pack(">H", 40) + b"http://ns.adobe.com/xap/1.0/\0" * 2
    for ahead in (other[:42], other[:42] * 3, b"\xff" * 5):
        data = plain[:2] + ahead + plain[2:]
        assert decode(data).shape == (45, 30, 3), ahead


@pytest.mark.parametrize("length", range(0, 90, 3))
def test_photos_with_broken_exif_are_decoded(decode, length):
    broken = exif("little", 6)[:length].ljust(90, b"\xff")
    data = encoded(photo(), "JPEG")
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", 92) + broken + data[2:]
    assert decode(data).shape in ((30, 45, 3), (45, 30, 3))


def changed(data, position, new):
    return data[:position] + new + data[position + len(new) :]


def bad_files():
    jpeg, png, gif, bmp = (
        encoded(photo(), form) for form in ("JPEG", "PNG", "GIF", "BMP")
    )
    none = "none of JPEG, PNG, GIF, BMP"
    yield b"", none
    yield b"hello", none
    yield encoded(photo(), "TIFF"), none
    for data, form in ((jpeg, "JPEG"), (png, "PNG"), (gif, "GIF")):
        yield data[: len(data) // 2], f"Invalid {form} data"
    yield bmp[:500], "Input size should match"
    yield b"\xff\xd8\xff", "Invalid JPEG data"
    yield b"\x89PNG\r\n\x1a\n", "a PNG must have 1 to 100000 pixels"
    yield b"GIF89a", "a GIF must have 1 to 100000 pixels"
    yield b"BM", "a BMP must have 1 to 100000 pixels"
    huge = b"\x7f\xff\xff\xff" * 2
    yield changed(png, 16, huge), r"declares \(width, height\)\] \[2147483647\]"
    yield changed(png, 16, bytes(8)), "a PNG must have 1 to 100000 pixels"
    yield changed(gif, 6, b"\xff" * 4), r"\[65535\] \[65535\]"
    yield changed(gif, gif.index(b",\0\0\0\0") + 5, b"\xff" * 4), r"\[65535\]"
    size = jpeg.index(b"\xff\xc0") + 5
    yield changed(jpeg, size, b"\x40\0\x40\0"), r"a JPEG .*\[16384\] \[16384\]"
    yield changed(bmp, 18, struct.pack("<ii", 2**30, -(2**30))), r"\[1073741824\]"
    yield encoded(Image.fromarray(photo()).quantize(8), "BMP"), "unsupported BMP"
    yield encoded(Image.fromarray(photo()).convert("1"), "BMP"), "unsupported BMP"
    yield encoded(np.zeros([320, 320, 3], np.uint8), "PNG"), r"\[320\] \[320\]"


@pytest.mark.parametrize(("data", "message"), bad_files())
def test_bad_images_are_refused(decode, data, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decode(data)


def test_errors_say_which_image_of_the_batch(decode):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"image number\] \[7\]"):
        decode(b"hello")


def test_crafted_files_do_not_hold_the_server_up(decode):
    gif = b"GIF89a" + struct.pack("<HH", 10, 10) + b"\0\0\0"
    comments = gif + b"\x21\xfe" + b"\x01a" * 1_000_000 + b"\0"
    segments = b"\xff\xd8\xff\xe0" + b"\x00\x02\xff\xe0" * 1_000_000
    chunks = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 0) * 1_000_000
    for data in (comments, segments, chunks):
        start = time.monotonic()
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode(data)
        assert time.monotonic() - start < 10
