"""What a record stores of an image: upright, 8 bits, sRGB."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from data_pipeline.encoding import encode_pair
from data_pipeline.pairs import Pair
from picanet_tf.core.images import read_image
from tests.core.image_files import (
    DISPLAY_P3,
    SRGB_CURVE,
    encoded,
    grey_profile,
    rgb_profile,
)

P3 = rgb_profile(DISPLAY_P3, SRGB_CURVE)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RED = Image.new("RGB", (16, 12), (230, 30, 30))


def encode(folder, name: str, data: bytes):
    image, mask = folder / name, folder / "mask.png"
    image.write_bytes(data)
    Image.new("L", (16, 12)).save(mask)
    return image, encode_pair(Pair("a", image, mask))


def stored(example) -> tuple[Image.Image, np.ndarray]:
    """The image of a record, and its pixels as TensorFlow reads them."""
    image = Image.open(io.BytesIO(example.image))
    return image, np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_wide_gamut_becomes_srgb(tmp_path, file_format):
    options = {"quality": 100, "lossless": True} if file_format == "WEBP" else {}
    data = encoded(RED, file_format, icc_profile=P3, **options)
    path, example = encode(tmp_path, "a.image", data)
    image, pixels = stored(example)
    np.testing.assert_allclose(pixels[5, 5].astype(int), [251, 0, 0], atol=5)
    np.testing.assert_allclose(pixels.astype(int), read_image(path), atol=2)
    assert image.format == ("JPEG" if file_format == "JPEG" else "PNG")
    assert "icc_profile" not in image.info
    if image.format == "JPEG":
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3  # 4:4:4
        assert image.quantization[0][0] == 2  # quality 95


def test_a_grey_profile_is_applied(tmp_path):
    grey = RED.convert("L")
    data = encoded(grey, "JPEG", quality=100, icc_profile=grey_profile(1.0))
    path, example = encode(tmp_path, "a.jpg", data)
    np.testing.assert_allclose(stored(example)[1].astype(int), read_image(path), atol=2)
    assert read_image(path)[0, 0, 0] > grey.getpixel((0, 0)) + 40


@pytest.mark.parametrize(
    ("profile", "warning"), [(SRGB, ""), (P3[:150], "its colour profile is ignored")]
)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_bytes_are_kept_if_nothing_changes(tmp_path, file_format, profile, warning):
    data = encoded(RED, file_format, icc_profile=profile)
    _, example = encode(tmp_path, "a.image", data)
    assert example.image == data
    assert example.warning.startswith(warning) and bool(example.warning) == bool(
        warning
    )
