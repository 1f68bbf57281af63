"""HEIC and AVIF: as phones write them."""

import io
import sys

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from picanet_tf.core import opening
from picanet_tf.core.images import (
    EXTENSIONS,
    ImageError,
    list_images,
    read_image,
    read_mask,
)
from tests.core.image_files import DISPLAY_P3, SRGB_CURVE, encoded, rgb_profile

P3_PROFILE = rgb_profile(DISPLAY_P3, SRGB_CURVE)


@pytest.fixture(autouse=True)
def registered():
    pillow_heif.register_heif_opener()  # To write; the library registers it, too.


def halves() -> Image.Image:
    image = Image.new("RGB", (40, 30), (20, 30, 220))
    image.paste((230, 30, 30), (0, 0, 20, 30))
    return image


def heic(image: Image.Image, **options) -> bytes:
    return encoded(image, "HEIF", **{"quality": 100, "chroma": 444, **options})


@pytest.mark.parametrize("file_format", ["HEIF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(file_format, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    options = {"HEIF": {"chroma": 444}, "AVIF": {"subsampling": "4:4:4"}}[file_format]
    data = encoded(halves(), file_format, quality=100, exif=exif.tobytes(), **options)
    expected = read_image(encoded(halves(), exif=exif))
    np.testing.assert_allclose(read_image(data).astype(int), expected, atol=4)


@pytest.mark.parametrize("file_format", ["HEIF", "AVIF"])
def test_profile_is_applied_and_alpha_is_kept(file_format):
    image = halves()
    image.putalpha(100)
    options = {"HEIF": {"chroma": 444}, "AVIF": {"subsampling": "4:4:4"}}[file_format]
    options |= {"quality": 100, "icc_profile": P3_PROFILE}
    kept = read_image(encoded(image, file_format, **options), keep_alpha=True)
    assert kept.shape == (30, 40, 4)
    np.testing.assert_allclose(kept[5, 5].astype(int), [251, 0, 0, 100], atol=3)


def test_primaries_without_a_profile_are_applied():
    data = heic(halves(), color_primaries=12, transfer_characteristics=13)
    np.testing.assert_allclose(read_image(data)[5, 5].astype(int), [251, 0, 0], atol=3)
    options = {"quality": 100, "subsampling": "4:4:4"}
    avif = bytearray(encoded(halves(), "AVIF", **options))
    place = avif.index(b"colrnclx") + 8
    assert avif[place : place + 4] == b"\0\x01\0\x0d"  # BT.709, sRGB
    avif[place + 1] = 12
    found = read_image(bytes(avif))[5, 5]
    np.testing.assert_allclose(found.astype(int), [251, 0, 0], atol=3)
    with_profile = encoded(halves(), "AVIF", **options, icc_profile=P3_PROFILE)
    found = read_image(with_profile)[5, 5]
    np.testing.assert_allclose(found.astype(int), [251, 0, 0], atol=3)


def test_10_bit_heic_is_read():
    deep = np.full((30, 40, 3), (60_000, 8_000, 8_000), np.uint16)
    file = pillow_heif.from_bytes("RGB;16", (40, 30), deep.tobytes())
    buffer = io.BytesIO()
    file.save(buffer, quality=-1)
    assert Image.open(buffer).info["bit_depth"] == 10
    image = read_image(buffer.getvalue())
    np.testing.assert_allclose(image[5, 5].astype(int), [233, 31, 31], atol=2)


def test_heic_is_recognized_by_its_content(tmp_path):
    grey = halves().convert("L")
    (tmp_path / "photo.jpg").write_bytes(heic(grey))
    np.testing.assert_allclose(
        read_mask(tmp_path / "photo.jpg").astype(int), np.asarray(grey), atol=1
    )
    data = heic(halves())
    other_major_brand = data[:8] + b"mif1" + data[12:]
    np.testing.assert_array_equal(read_image(other_major_brand), read_image(data))


def test_damaged_heic_is_reported():
    data = heic(halves())
    for length in (20, 100, 300):
        with pytest.raises(ImageError, match=r"a damaged HEIC \(HEIF\) file"):
            read_image(data[:length])
    with pytest.raises(ImageError, match="at most 1,199 pixels"):
        read_image(data, max_pixels=1_199)


def test_missing_pillow_heif_is_reported(monkeypatch):
    data = heic(halves())
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match="^photo.heic: HEIC.*pip install pillow-heif$"):
        read_image(data, name="photo.heic")


def test_pillow_heif_is_imported_for_heic_only(monkeypatch):
    monkeypatch.setattr(opening, "_register_heif", lambda: pytest.fail("imported"))
    read_image(encoded(halves()))
    read_image(encoded(halves(), "AVIF"))


def test_heic_and_avif_extensions_are_known(tmp_path):
    assert {".heic", ".heif", ".hif", ".avif"} <= EXTENSIONS
    (tmp_path / "IMG_1.HEIC").touch()
    assert [path.name for path in list_images(tmp_path)] == ["IMG_1.HEIC"]
