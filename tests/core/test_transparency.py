"""Every way in which a file says that pixels are transparent."""

import numpy as np
import pytest
from PIL import Image

from picanet_tf.core.images import over_white, read_image, read_mask
from tests.core.image_files import GREY, PALETTE, RGB, encoded, png


def pillow_over_white(rgba: np.ndarray) -> np.ndarray:
    image = Image.fromarray(rgba)
    white = Image.new("RGBA", image.size, "white")
    return np.array(Image.alpha_composite(white, image).convert("RGB"))


def test_alpha_and_the_hidden_colours_are_kept():
    stored = np.random.default_rng(0).integers(0, 256, (9, 7, 4), np.uint8)
    stored[0, 0, 3], stored[0, 1, 3] = 0, 255
    data = encoded(Image.fromarray(stored))
    kept = read_image(data, keep_alpha=True)
    assert kept.dtype == np.uint8 and kept.flags.writeable
    np.testing.assert_array_equal(kept, stored)
    np.testing.assert_array_equal(over_white(kept), pillow_over_white(stored))
    np.testing.assert_array_equal(read_image(data), pillow_over_white(stored))


def test_an_opaque_image_has_no_alpha():
    opaque = Image.new("RGBA", (3, 2), (10, 20, 30, 255))
    image = read_image(encoded(opaque), keep_alpha=True)
    assert image.shape == (2, 3, 3)
    assert over_white(image) is image


def test_alpha_turns_with_the_image():
    stored = np.zeros((1, 2, 4), np.uint8)
    stored[0, 0] = 1, 2, 3, 4
    exif = Image.Exif()
    exif[274] = 6
    data = encoded(Image.fromarray(stored), exif=exif)
    upright = read_image(data, keep_alpha=True)
    np.testing.assert_array_equal(upright, [[[1, 2, 3, 4]], [[0, 0, 0, 0]]])


# {how: (file, the grey or colour of each pixel, alpha of each pixel)}
FILES = {
    "1-bit, tRNS": (png(1, GREY, 4, [b"\x30"], {b"tRNS": b"\0\1"}),
                    [0, 0, 255, 255], [255, 255, 0, 0]),
    "2-bit, tRNS": (png(2, GREY, 4, [b"\x1b"], {b"tRNS": b"\0\3"}),
                    [0, 85, 170, 255], [255, 255, 255, 0]),
    "4-bit, tRNS": (png(4, GREY, 2, [b"\x5f"], {b"tRNS": b"\0\5"}),
                    [85, 255], [0, 255]),
    "8-bit, tRNS": (png(8, GREY, 2, [b"\x01\x05"], {b"tRNS": b"\0\5"}),
                    [1, 5], [255, 0]),
    "16-bit, tRNS": (png(16, GREY, 2, [b"\xff\0\xff\1"], {b"tRNS": b"\xff\0"}),
                     [254, 254], [0, 255]),
    "RGB, tRNS": (png(8, RGB, 2, [b"\1\5\7\1\5\x09"], {b"tRNS": b"\0\1\0\5\0\7"}),
                  [(1, 5, 7), (1, 5, 9)], [0, 255]),
    "16-bit RGB, tRNS": (png(16, RGB, 2, [b"\x20\5\2\5\3\5\0\0\2\5\3\5"],
                             {b"tRNS": b"\x20\5\2\5\3\5"}),
                         [(32, 2, 3), (0, 2, 3)], [0, 255]),
    "palette, tRNS": (png(8, PALETTE, 2, [b"\0\1"],
                          {b"PLTE": b"\1\5\7\2\4\6", b"tRNS": b"\x64"}),
                      [(1, 5, 7), (2, 4, 6)], [100, 255]),
    "LA": (encoded(Image.merge("LA", [Image.new("L", (1, 1), v) for v in (90, 30)])),
           [90], [30]),
}  # fmt: skip


@pytest.mark.parametrize("how", FILES)
def test_every_transparency_encoding_of_files_is_read(how):
    data, colours, alpha = FILES[how]
    kept = read_image(data, keep_alpha=True)
    expected = [np.broadcast_to(colour, 3).tolist() for colour in colours]
    assert kept[0, :, :3].tolist() == expected
    assert kept[0, :, 3].tolist() == alpha
    np.testing.assert_array_equal(read_image(data), pillow_over_white(kept))
    assert read_mask(data)[0, np.argmin(alpha)] <= min(alpha)


@pytest.mark.parametrize("mode", ["LA", "La", "RGBA", "RGBa", "PA"])
def test_every_transparent_mode_of_pillow_is_read(mode):
    grey = Image.new("L", (2, 1), 102)
    alpha = Image.fromarray(np.array([[51, 255]], np.uint8))
    if mode == "PA":
        image = Image.merge("PA", (grey.convert("P"), alpha))
        image.putpalette([102] * 768)
    elif mode in ("LA", "La"):
        image = Image.merge("LA", (grey, alpha)).convert(mode)
    else:
        image = Image.merge("RGBA", (grey, grey, grey, alpha)).convert(mode)
    kept = read_image(image, keep_alpha=True)
    # Premultiplied colours are rounded: 102 x 51 / 255 = 20.4.
    np.testing.assert_allclose(kept[0, :, 0].astype(int), 102, atol=2)
    assert kept[0, :, 3].tolist() == [51, 255]
    seen = read_image(image)[0, :, 0].astype(int)
    np.testing.assert_allclose(seen, [224, 102], atol=1)
