"""Values of 10 and 12 bits in files of 16 bits."""

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from picanet_tf.core.images import ImageError, read_image, read_mask
from picanet_tf.core.masks import read_any_mask
from tests.core.image_files import GREY, GREY_ALPHA, RGB, encoded, png


def grey_png(values, chunks=None) -> bytes:
    row = np.array(values, ">u2").tobytes()
    return png(16, GREY, len(values), [row], chunks or {})


def rgb_file(extension: str, values: np.ndarray, options=()) -> bytes:
    """uint16 [H, W, 3 or 4], RGB(A), by OpenCV: Pillow writes no such files."""
    values = values[..., [2, 1, 0, 3][: values.shape[-1]]]
    return cv2.imencode(extension, values, list(options))[1].tobytes()


def tiff(values, tags) -> bytes:
    image = Image.fromarray(np.array([values], np.uint16))
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        info[tag] = value
    return encoded(image, "TIFF", tiffinfo=info)


# {how: (file, expected grey, whether it is a guess)}
FILES = {
    "16 bits": (grey_png([0, 5000, 65535]), [0, 19, 255], False),
    "8 bits": (grey_png([0, 100, 255]), [0, 100, 255], True),
    "10 bits": (grey_png([0, 512, 1023]), [0, 128, 255], True),
    "12 bits": (grey_png([0, 2048, 4095]), [0, 128, 255], True),
    "12 bits, dim": (grey_png([0, 2048]), [0, 128], True),
    "dark 16 bits": (grey_png([0, 4096, 16000]), [0, 16, 62], False),
    "black": (grey_png([0, 0]), [0, 0], False),
    "TIFF, 10 bits": (tiff([0, 1023], {}), [0, 255], True),
    "MaxSampleValue": (tiff([0, 1000], {281: 4095}), [0, 62], False),
    "MaxSampleValue, of the image": (tiff([0, 1000], {281: 1000}), [0, 249], True),
    "MaxSampleValue, 14 bits": (tiff([0, 9000], {281: 16383}), [0, 140], False),
    # sBIT counts the upper bits: these values are dark.
    "sBIT, scaled": (grey_png([64, 960], {b"sBIT": b"\x0a"}), [0, 4], False),
    # Values that are no multiples of 64 cannot be 10 bits, scaled to 16.
    "sBIT, not scaled": (grey_png([1, 511, 700], {b"sBIT": b"\x0a"}),
                         [0, 127, 174], False),
    "sBIT, 16": (grey_png([0, 1000], {b"sBIT": b"\x10"}), [0, 4], False),
    "PGM": (b"P5 2 1 1023\n" + np.array([0, 512], ">u2").tobytes(), [0, 128], False),
}  # fmt: skip


@pytest.mark.parametrize("how", FILES)
def test_grey_is_scaled_by_its_bit_depth(how, tmp_path, caplog):
    data, expected, guessed = FILES[how]
    path = tmp_path / "deep"
    path.write_bytes(data)
    image = read_image(path)
    np.testing.assert_array_equal(image[0, :, 0], expected)
    assert (image == image[..., :1]).all()
    assert bool(caplog.messages) == guessed
    if guessed:
        (message,) = caplog.messages
        assert message.startswith(f"{path}: taken as ")
        assert "no value of the 16-bit image is above" in message


def test_12_bits_packed_into_bytes_are_read(caplog):
    packed = bytearray(tiff([0, 0, 0, 0], {}))
    entry = packed.index(b"\x02\x01\x03\0\x01\0\0\0\x10\0")  # BitsPerSample: 16
    packed[entry + 8] = 12
    (place,) = Image.open(io.BytesIO(packed)).tag_v2[273]
    packed[place : place + 6] = b"\x12\x34\x56\x78\x9f\xff"
    image = read_image(bytes(packed))
    expected = [round(v * 255 / 4095) for v in (0x123, 0x456, 0x789, 0xFFF)]
    assert image[0, :, 0].tolist() == expected
    assert not caplog.messages


COMPRESSIONS = {
    "PNG": (".png", ()),
    "TIFF": (".tif", (cv2.IMWRITE_TIFF_COMPRESSION, 1)),
    "TIFF, LZW": (".tif", (cv2.IMWRITE_TIFF_COMPRESSION, 5)),
    "TIFF, deflate": (".tif", (cv2.IMWRITE_TIFF_COMPRESSION, 8)),
}


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("how", COMPRESSIONS)
def test_colours_are_scaled_by_their_bit_depth(how, bits, channels, caplog):
    """Pillow alone gives 0..3 or 0..15 of 255."""
    extension, options = COMPRESSIONS[how]
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**bits, (7, 9, channels), np.uint16)
    values[0, 0] = 2**bits - 1
    image = read_image(rgb_file(extension, values, options), keep_alpha=True)
    expected = np.floor(values * (255 / (2**bits - 1)) + 0.5)
    np.testing.assert_array_equal(image, expected)
    assert f"taken as {bits} bits per channel" in caplog.text


def test_colours_with_alpha_of_16_bits():
    values = np.full((2, 2, 4), (1023, 0, 512, 0x8000), np.uint16)
    image = read_image(rgb_file(".png", values), keep_alpha=True)
    np.testing.assert_array_equal(image[0, 0], [255, 0, 128, 128])


def test_grey_with_alpha_of_16_bits(caplog):
    row = np.array([[1023, 0x8000], [512, 65535], [0, 0]], ">u2").tobytes()
    image = read_image(png(16, GREY_ALPHA, 3, [row]), keep_alpha=True)
    assert image[0, :, 0].tolist() == [255, 128, 0]
    assert image[0, :, 3].tolist() == [128, 255, 0]
    assert "taken as 10 bits per channel" in caplog.text


def test_a_transparent_colour_of_10_bits():
    pixels = np.array([[1023, 0, 512], [1023, 0, 513]], ">u2")
    clear = pixels[0].tobytes()
    data = png(16, RGB, 2, [pixels.tobytes()], {b"tRNS": clear})
    image = read_image(data, keep_alpha=True)
    assert image[0].tolist() == [[255, 0, 128, 0], [255, 0, 128, 255]]


def test_16_bit_colours_are_not_taken_for_fewer_bits(caplog):
    values = np.full((2, 2, 3), (4096, 100, 0), np.uint16)
    assert read_image(rgb_file(".png", values))[0, 0].tolist() == [16, 0, 0]
    assert not caplog.messages


def test_masks_are_scaled_by_the_depth_of_the_file():
    assert read_mask(grey_png([0, 1023, 65535])).tolist() == [[0, 4, 255]]
    assert read_mask(grey_png([0, 1023])).tolist() == [[0, 4]]


def white_is_zero(values):
    """A TIFF of one row with 16 bits in which 0 is white."""
    data = np.array(values, "<u2").tobytes()
    shorts = {256: len(values), 257: 1, 258: 16, 259: 1, 262: 0, 277: 1, 278: 1}
    longs = {273: 8 + 2 + 12 * 9 + 4, 279: len(data)}
    entries = b"".join(
        struct.pack("<HHII", tag, 3 if tag in shorts else 4, 1, value)
        for tag, value in sorted((shorts | longs).items())
    )
    return b"II*\0" + struct.pack("<IH", 8, 9) + entries + bytes(4) + data


def test_tiff_in_which_0_is_white_is_inverted():
    content = white_is_zero([0, 65535, 32896])
    assert read_image(content)[0, :, 0].tolist() == [255, 0, 127]
    assert read_any_mask(content).mask.tolist() == [[255, 0, 127]]


def planar_tiff(planes: np.ndarray) -> bytes:
    """A TIFF whose 16-bit colours, [C, H, W], are stored one after the other."""
    channels, height, width = planes.shape
    size = planes[0].nbytes
    arrays = [[16] * channels, [0] * channels, [size] * channels]
    pixels = 8 + 2 + 10 * 12 + 4 + 12 * channels
    arrays[1] = [pixels + size * plane for plane in range(channels)]
    place, entries, values = pixels - 12 * channels, [], b""
    tags = {256: width, 257: height, 258: 0, 259: 1, 262: 2, 273: 1, 277: channels}
    tags |= {278: height, 279: 2, 284: 2}
    for tag, value in tags.items():
        kind, count = 3, 1
        if tag in (258, 273, 279):
            kind, count = 4, channels
            numbers = arrays[value]
            value = place + len(values)
            values += struct.pack(f"<{channels}I", *numbers)
        entries.append(struct.pack("<HHII", tag, kind, count, value))
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries))
    return head + b"".join(entries) + bytes(4) + values + planes.tobytes()


def test_16_bit_colours_in_planes_are_refused():
    """Pillow would take each byte for a pixel."""
    planes = np.arange(3 * 4 * 5, dtype="<u2").reshape(3, 4, 5) * 1000
    with pytest.raises(ImageError, match="a TIFF of 16 bits whose colours are stored"):
        read_image(planar_tiff(planes))
    interleaved = cv2.cvtColor(np.moveaxis(planes, 0, -1), cv2.COLOR_RGB2BGR)
    assert read_image(cv2.imencode(".tif", interleaved)[1].tobytes()).shape == (4, 5, 3)


def test_preview_of_a_raw_file_is_refused():
    image = Image.new("RGB", (160, 120))
    assert read_image(encoded(image, "TIFF", tiffinfo={254: 0})).shape == (120, 160, 3)
    with pytest.raises(ImageError, match="its first picture is a reduced copy, as in"):
        read_image(encoded(image, "TIFF", tiffinfo={254: 1}))


def test_values_beyond_16_bits_are_an_error():
    image = Image.fromarray(np.array([[0, 70_000]], np.int32))
    for read in (read_image, read_any_mask):
        with pytest.raises(ImageError, match="pixels must be 0 to 65535.* 0 to 70000"):
            read(image)
