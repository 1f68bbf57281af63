import io
import pickle

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from picanet_tf.core import images
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import ImageError, list_images, read_image, read_mask
from tests.core.image_files import encoded
from tests.data_pipeline.conftest import picture, save


def test_reads_paths_bytes_and_pillow_images_alike(tmp_path):
    array = picture(0)
    path = save(tmp_path / "a.png", array)
    for source in (path, str(path), path.read_bytes(), Image.open(path)):
        result = read_image(source)
        assert result.dtype == np.uint8 and result.flags.writeable
        np.testing.assert_array_equal(result, array)


# What a viewer shows for a stored [[1, 2], [3, 4], [5, 6]], from the EXIF standard:
# where the stored first row and first column are to appear.
UPRIGHT = {
    1: [[1, 2], [3, 4], [5, 6]],
    2: [[2, 1], [4, 3], [6, 5]],
    3: [[6, 5], [4, 3], [2, 1]],
    4: [[5, 6], [3, 4], [1, 2]],
    5: [[1, 3, 5], [2, 4, 6]],
    6: [[5, 3, 1], [6, 4, 2]],
    7: [[6, 4, 2], [5, 3, 1]],
    8: [[2, 4, 6], [1, 3, 5]],
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("extension", ["png", "tif"])
def test_exif_orientation_is_applied(tmp_path, orientation, extension):
    stored = np.array([[1, 2], [3, 4], [5, 6]], np.uint8)
    path = save(tmp_path / f"a.{extension}", stored, orientation=orientation)
    np.testing.assert_array_equal(read_mask(path), UPRIGHT[orientation])
    np.testing.assert_array_equal(read_image(path)[..., 1], UPRIGHT[orientation])


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_of_xmp_is_ignored_as_by_viewers(file_format):
    xmp = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
        xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
        xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF>
        </x:xmpmeta>"""
    options = {"xmp": xmp}
    if file_format == "PNG":
        options = {"pnginfo": PngImagePlugin.PngInfo()}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    if file_format == "TIFF":
        options = {"tiffinfo": {700: xmp}}
    data = encoded(Image.new("RGB", (4, 2)), file_format, **options)
    assert Image.open(io.BytesIO(data)).getexif()[0x0112] == 6  # Pillow takes it.
    assert read_image(data).shape == (2, 4, 3)


def test_broken_exif_is_ignored():
    data = encoded(Image.new("RGB", (4, 4)), "JPEG", exif=b"Exif\0\0garbage")
    assert read_image(data).shape == (4, 4, 3)


def test_16_bit_grey_is_scaled_not_clipped():
    deep = np.array([[0, 128, 129], [256, 32768, 65535]], np.uint16)
    expected = [[0, 0, 1], [1, 128, 255]]  # round(v / 257)
    np.testing.assert_array_equal(read_mask(encoded(Image.fromarray(deep))), expected)
    image = read_image(encoded(Image.fromarray(deep)))
    np.testing.assert_array_equal(image[..., 2], expected)


def test_palette_1_bit_and_grey():
    grey = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8))
    for mode in ("P", "1", "L", "RGB"):
        data = encoded(grey.convert(mode))
        np.testing.assert_array_equal(read_mask(data), [[0, 255], [255, 0]])
        np.testing.assert_array_equal(read_image(data)[0], [[0] * 3, [255] * 3])


def test_transparent_is_white_in_images_and_background_in_masks():
    cut_out = Image.new("RGBA", (2, 1), (200, 200, 200, 255))
    cut_out.putpixel((1, 0), (200, 200, 200, 0))
    for mode in ("RGBA", "LA"):
        data = encoded(cut_out.convert(mode))
        np.testing.assert_array_equal(read_image(data)[0], [[200] * 3, [255] * 3])
        np.testing.assert_array_equal(read_mask(data), [[200, 0]])


def test_cmyk_becomes_rgb():
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    pixel = read_image(encoded(red, "JPEG", quality=95))[4, 4].astype(int)
    np.testing.assert_allclose(pixel, [255, 0, 0], atol=4)


def test_first_frame_of_an_animation_is_read():
    frames = [Image.new("RGB", (3, 2), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(data)[0, 0], [255, 0, 0])


def test_size_limit_is_checked_before_decoding(monkeypatch):
    data = encoded(Image.new("L", (30, 20)))
    assert read_image(data, max_pixels=600).shape == (20, 30, 3)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ImageError, match="at most 599 pixels.*30 x 20"):
        read_image(data, max_pixels=599)


def test_pillow_pixel_limit_applies_too(monkeypatch):
    data = encoded(Image.new("L", (30, 20)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    with pytest.raises(ImageError, match="exceeds limit"):
        read_image(data)


def test_errors_start_with_the_file_name(tmp_path):
    text = tmp_path / "text.jpg"
    text.write_text("no photo")
    truncated = tmp_path / "truncated.jpg"
    truncated.write_bytes(encoded(Image.fromarray(picture(0)), "JPEG")[:700])
    empty = tmp_path / "empty.png"
    empty.touch()
    floating = tmp_path / "floating.tif"
    Image.fromarray(np.zeros((2, 2), np.float32)).save(floating)
    cases = {
        text: "not an image of a known format",
        truncated: "truncated",
        empty: "not an image of a known format",
        floating: "floating-point",
        tmp_path / "none.png": "no such file",
        tmp_path: "a folder, not an image",
    }
    for path, reason in cases.items():
        with pytest.raises(ImageError, match=reason) as raised:
            read_image(path)
        assert str(raised.value).startswith(f"{path}: ")
        assert "\n" not in str(raised.value)
        with pytest.raises(ImageError, match=reason):
            read_mask(path)
    with pytest.raises(ImageError, match="^upload: not an image"):
        read_image(b"no photo", name="upload")


def test_image_error_survives_pickling():
    error = pickle.loads(pickle.dumps(ImageError("a.png", "truncated")))
    assert (error.name, error.reason) == ("a.png", "truncated")
    assert str(error) == "a.png: truncated"


def test_list_images(tmp_path):
    for name in ("im10.JPG", "im2.png", "Thumbs.db", "._im2.png", "sub/im1.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to("folder.png")

    def names():
        return [path.name for path in list_images(tmp_path)]

    assert names() == ["im2.png", "im10.JPG"]
    (tmp_path / "broken.png").symlink_to("gone.png")  # To be named when it is read.
    assert names() == ["broken.png", "im2.png", "im10.JPG"]
    (tmp_path / "odd.png").symlink_to("n" * 300)  # Like a link into a locked folder.
    assert names() == ["broken.png", "im2.png", "im10.JPG", "odd.png"]
    with pytest.raises(PicanetError, match="no such folder"):
        list_images(tmp_path / "none")


def test_natural_order():
    names = ["b1", "a10", "a2", "10", "9", "a02", ""]
    ordered = ["", "9", "10", "a02", "a2", "a10", "b1"]
    assert sorted(names, key=images.natural_key) == ordered
