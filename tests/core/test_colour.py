"""Colour profiles, against the definitions of the colour spaces."""

import struct
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

from picanet_tf.core.colour import to_srgb
from picanet_tf.core.images import over_white, read_image, read_mask
from tests.core.image_files import (
    ADOBE_RGB,
    DISPLAY_P3,
    RGB,
    SRGB,
    SRGB_CURVE,
    cmyk_profile,
    encoded,
    grey_profile,
    png,
    rgb_profile,
)

P3_PROFILE = rgb_profile(DISPLAY_P3, SRGB_CURVE)
ADOBE_PROFILE = rgb_profile(ADOBE_RGB, (563 / 256,))
SRGB_PROFILES = {
    "Little CMS's": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "by hand": rgb_profile(SRGB, SRGB_CURVE),
}
# x, y of red, green and blue; all three spaces have the white D65.
PRIMARIES = {
    "srgb": ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06)),
    "p3": ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
    "adobe": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)),
}
COLOURS = [(230, 30, 30), (200, 180, 40), (90, 140, 220), (128, 128, 128), (0, 0, 0)]


def to_xyz(space: str) -> np.ndarray:
    """The matrix from linear RGB to XYZ, from the primaries and the white."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in PRIMARIES[space]]).T
    white = [0.3127 / 0.329, 1, (1 - 0.3127 - 0.329) / 0.329]
    return columns * np.linalg.solve(columns, white)


def encode_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light to 0..255, clipped to what sRGB can show."""
    linear = np.clip(linear, 0, 1)
    power = 1.055 * linear ** (1 / 2.4) - 0.055
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, power)


def expected_srgb(space: str, colour) -> np.ndarray:
    """`colour` of another space in sRGB."""
    value = np.array(colour) / 255
    if space == "adobe":
        linear = value ** (563 / 256)
    else:
        power = ((value + 0.055) / 1.055) ** 2.4
        linear = np.where(value <= 0.04045, value / 12.92, power)
    return encode_srgb(np.linalg.solve(to_xyz("srgb"), to_xyz(space) @ linear))


def lab_to_srgb(lightness: float, a: float, b: float) -> np.ndarray:
    """CIE's L*a*b* of D50 to sRGB."""
    f = (lightness + 16) / 116 + np.array([a / 500, 0, -b / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    xyz = xyz * (0.9642, 1, 0.8249)
    return encode_srgb(np.linalg.solve(np.reshape(SRGB, (3, 3)).T, xyz))


def read_pixel(image: Image.Image, file_format="PNG", **options) -> list[int]:
    return read_image(encoded(image, file_format, **options))[4, 4].tolist()


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    ("space", "profile"), [("p3", P3_PROFILE), ("adobe", ADOBE_PROFILE)]
)
def test_rgb_profiles_are_converted_to_srgb(space, profile, colour):
    image = Image.new("RGB", (8, 8), colour)
    for file_format in ("PNG", "TIFF", "WEBP"):
        options = {"lossless": True} if file_format == "WEBP" else {}
        pixel = read_pixel(image, file_format, icc_profile=profile, **options)
        np.testing.assert_allclose(pixel, expected_srgb(space, colour), atol=1.5)
    pixel = read_pixel(image, "JPEG", quality=100, subsampling=0, icc_profile=profile)
    np.testing.assert_allclose(pixel, expected_srgb(space, colour), atol=5)


def test_expected_colours_match_values_computed_by_hand():
    np.testing.assert_allclose(expected_srgb("p3", (230, 30, 30)), [251, 0, 0], atol=1)
    np.testing.assert_allclose(
        expected_srgb("adobe", (230, 30, 30)), [255, 24, 24], atol=1
    )


@pytest.mark.parametrize("name", SRGB_PROFILES)
def test_srgb_profiles_change_nothing(name):
    values = np.random.default_rng(0).integers(0, 256, (50, 40, 3), np.uint8)
    image = Image.fromarray(values)
    for each in (image, image.convert("L"), image.quantize(16)):
        with_profile = encoded(each, icc_profile=SRGB_PROFILES[name])
        np.testing.assert_array_equal(
            read_image(with_profile), read_image(encoded(each))
        )


def test_profiles_are_applied_to_alpha_and_palette_images():
    alpha = Image.fromarray(np.array([[0, 100, 255]], np.uint8))
    image = Image.new("RGB", (3, 1), (230, 30, 30))
    clear = image.copy()
    clear.putalpha(alpha)
    data = encoded(clear, icc_profile=P3_PROFILE)
    kept = read_image(data, keep_alpha=True)
    expected = expected_srgb("p3", (230, 30, 30))
    np.testing.assert_allclose(kept[0, :, :3], [expected] * 3, atol=1.5)
    assert kept[0, :, 3].tolist() == [0, 100, 255]
    np.testing.assert_array_equal(read_image(data), over_white(kept))
    palette = encoded(image.quantize(2), icc_profile=P3_PROFILE)
    np.testing.assert_allclose(read_image(palette)[0, 0], expected, atol=1.5)
    few = encoded(image.quantize(2), icc_profile=P3_PROFILE, transparency=0)
    np.testing.assert_allclose(
        read_image(few, keep_alpha=True)[0, 0], [*expected, 0], atol=1.5
    )


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
def test_grey_profiles_are_converted_to_srgb(gamma):
    profile = grey_profile(gamma)
    expected = encode_srgb((np.array([0, 20, 90, 200, 255]) / 255) ** gamma)
    grey = Image.fromarray(np.array([[0, 20, 90, 200, 255]], np.uint8))
    rows = {
        "L": grey,
        "LA": Image.merge("LA", (grey, Image.new("L", grey.size, 255))),
        "RGB": grey.convert("RGB"),
        "16": Image.fromarray(np.asarray(grey).astype(np.uint16) * 257),
    }
    for image in rows.values():
        row = read_image(encoded(image, icc_profile=profile))[0]
        np.testing.assert_allclose(row[:, 0], expected, atol=1)
        assert (row[:, :1] == row).all()


def test_cmyk_profiles_are_converted_to_srgb():
    # Of these inks only cyan and black print, and cyan prints (50, -30, -40).
    inks = {
        (c, m, y, k): (10, 0, 0) if k else (50, -30, -40) if c else (100, 0, 0)
        for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)
    }  # fmt: skip
    profile = cmyk_profile(inks)
    for ink in ((0, 0, 0, 0), (0, 0, 0, 255), (255, 0, 0, 0)):
        image = Image.new("CMYK", (8, 8), ink)
        expected = lab_to_srgb(*inks[tuple(part // 255 for part in ink)])
        for file_format in ("TIFF", "JPEG"):
            options = {"quality": 100} if file_format == "JPEG" else {}
            pixel = read_pixel(image, file_format, icc_profile=profile, **options)
            np.testing.assert_allclose(pixel, expected, atol=2)
    assert read_pixel(image, "TIFF") == [0, 255, 255]  # Without a profile.


BROKEN = {
    "nonsense": (b"no profile", "RGB", "it cannot be read"),
    "truncated": (P3_PROFILE[:200], "RGB", "it cannot be read"),
    "of grey images": (grey_profile(1.8), "RGB", "it is for grey images"),
    "of CMYK images": (cmyk_profile({}.fromkeys(np.ndindex(2, 2, 2, 2), (50, 0, 0))),
                       "RGB", "it is for CMYK images, this one is RGB"),
    "of RGB images": (P3_PROFILE, "CMYK", "it is for RGB images, this one is CMYK"),
    "no image's": (P3_PROFILE[:12] + b"link" + P3_PROFILE[16:],
                   "RGB", "its class 'link' with the colour space"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_unusable_profile_is_ignored_with_a_warning(name, tmp_path, caplog):
    profile, mode, reason = BROKEN[name]
    image = Image.new("RGB", (8, 8), (230, 30, 40)).convert(mode)
    path = tmp_path / "photo.tif"
    path.write_bytes(encoded(image, "TIFF", icc_profile=profile))
    np.testing.assert_array_equal(read_image(path)[4, 4], (230, 30, 40))
    (message,) = caplog.messages
    assert message.startswith(f"{path}: its colour profile is ignored: ")
    assert reason in message


def test_incomplete_jpeg_profile_is_ignored_with_a_warning(caplog):
    long = P3_PROFILE + bytes(70_000)
    data = encoded(Image.new("RGB", (8, 8), (230, 30, 30)), "JPEG", icc_profile=long)
    start = data.index(b"ICC_PROFILE") - 4
    length = int.from_bytes(data[start + 2 : start + 4], "big") + 2
    read_image(data[:start] + data[start + length :])
    assert caplog.messages == ["image: its colour profile is ignored: it is incomplete"]


def test_masks_ignore_colour_profiles():
    mask = Image.fromarray(np.array([[0, 90, 255]], np.uint8))
    data = encoded(mask, icc_profile=grey_profile(1.0))
    np.testing.assert_array_equal(read_mask(data), [[0, 90, 255]])


def chunk_xy(*values: float) -> bytes:
    return struct.pack(">8I", *(round(value * 100_000) for value in values))


D65 = (0.3127, 0.329)
CHRM = {
    space: chunk_xy(*D65, *(value for pair in pairs for value in pair))
    for space, pairs in PRIMARIES.items()
}
RED = [230, 30, 30]
RED_OF_P3 = expected_srgb("p3", RED)
# A gamma g of PNG means value = light ** g.
LIGHT_OF_18 = (np.array(RED) / 255) ** 1.8
GAMMA_18, GAMMA_22 = (struct.pack(">I", value) for value in (55_556, 45_455))
CHUNKS = {
    "nothing": ({}, RED),
    "sRGB's gamma": ({b"gAMA": GAMMA_22}, RED),
    "sRGB in full": ({b"gAMA": GAMMA_22, b"cHRM": CHRM["srgb"]}, RED),
    "gamma": ({b"gAMA": GAMMA_18}, encode_srgb(LIGHT_OF_18)),
    "primaries": ({b"cHRM": CHRM["p3"]}, RED_OF_P3),
    "primaries and sRGB's gamma": (
        {b"gAMA": GAMMA_22, b"cHRM": CHRM["p3"]}, RED_OF_P3),
    "sRGB wins": ({b"cHRM": CHRM["p3"], b"sRGB": b"\0"}, RED),
    "cICP": ({b"cICP": bytes((12, 13, 0, 1))}, RED_OF_P3),
    "cICP wins": (
        {b"sRGB": b"\0", b"cHRM": CHRM["srgb"], b"cICP": bytes((12, 13, 0, 1))},
        RED_OF_P3),
}  # fmt: skip


@pytest.mark.parametrize("name", CHUNKS)
def test_png_colour_chunks_are_applied(name, caplog):
    chunks, expected = CHUNKS[name]
    (pixel,) = read_image(png(8, RGB, 1, [bytes(RED)], chunks))[0]
    tolerance = 0 if expected is RED else 1.5
    np.testing.assert_allclose(pixel, expected, atol=tolerance)
    assert not caplog.messages


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ({b"cICP": bytes((9, 16, 0, 1))}, "high dynamic range (PQ) is not supported"),
        ({b"cICP": bytes((200, 13, 0, 1))}, "primaries 200 with transfer 13"),
        ({b"gAMA": bytes(4)}, "its gamma 0.0 is not in 0.1 to 10"),
        ({b"cHRM": bytes(32)}, "its primaries span no colour space"),
    ],
)
def test_unusable_png_chunks_are_ignored_with_a_warning(chunks, reason, caplog):
    np.testing.assert_array_equal(
        read_image(png(8, RGB, 1, [bytes(RED)], chunks)), [[RED]]
    )
    assert reason in caplog.text


def test_large_profiles_are_not_cached():
    """Sixteen of them would take 270 MB."""
    image = Image.new("RGB", (4, 4), COLOURS[0])
    colours = []
    for padding in (4, 1 << 21):
        profile = P3_PROFILE + bytes(padding)
        before = sys.getrefcount(profile)
        converted = to_srgb(image, {"icc_profile": profile}, pytest.fail)
        colours.append(converted.getpixel((0, 0)))
        assert sys.getrefcount(profile) == before + (padding == 4)
    assert colours[0] == colours[1] != COLOURS[0]
