"""What `predict` takes as an image."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import over_white
from picanet_tf.inference.base import Model
from picanet_tf.inference.sources import to_array, to_arrays
from picanet_tf.tasks.registry import get_spec
from tests.core.image_files import encoded

PHOTO = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
DATA = encoded(Image.fromarray(PHOTO))


class Echo(Model):
    """The saliency of a pixel is its red channel."""

    def __init__(self):
        super().__init__(get_spec("saliency"), 9)

    def infer(self, batch):
        return batch[..., :1] / 255


@pytest.fixture
def path(tmp_path) -> Path:
    (tmp_path / "photo.png").write_bytes(DATA)
    return tmp_path / "photo.png"


SOURCES = {
    "path": lambda path: path,
    "text": str,
    "bytes": lambda path: DATA,
    "bytearray": lambda path: bytearray(DATA),
    "memoryview": lambda path: memoryview(DATA),
    "BytesIO": lambda path: io.BytesIO(DATA),
    "open file": lambda path: path.open("rb"),
    "unbuffered file": lambda path: path.open("rb", buffering=0),
    "PIL": Image.open,
    "array": lambda path: PHOTO,
    "opaque array": lambda path: np.dstack([PHOTO, np.full((6, 9), 255, np.uint8)]),
    "view": lambda path: PHOTO[:, :, ::-1].copy()[:, :, ::-1],
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_source_is_read(kind, path):
    source = SOURCES[kind](path)
    np.testing.assert_array_equal(to_array(source), PHOTO)
    if hasattr(source, "seek"):
        source.seek(0)
    model = Echo()
    if not isinstance(source, Image.Image):
        expected = model.predict(PHOTO)
        np.testing.assert_array_equal(model.predict(source), expected)
    if hasattr(source, "seek"):
        source.seek(0)
    (one,) = model.predict([source])
    np.testing.assert_array_equal(one, model.predict(PHOTO))


def test_a_file_is_read_from_its_position_and_stays_open():
    file = io.BytesIO(b"head" + DATA)
    file.seek(4)
    np.testing.assert_array_equal(to_array(file), PHOTO)
    assert not file.closed
    with pytest.raises(PicanetError, match=r"the file is at its end: call seek\(0\)"):
        to_array(file)


def test_grey_arrays_become_rgb():
    grey = PHOTO[..., 0]
    expected = np.dstack([grey] * 3)
    np.testing.assert_array_equal(to_array(grey), expected)
    np.testing.assert_array_equal(to_array(grey[..., np.newaxis]), expected)


def test_arrays_with_alpha_are_laid_over_white():
    clear = np.dstack([PHOTO, np.arange(54, dtype=np.uint8).reshape(6, 9)])
    np.testing.assert_array_equal(to_array(clear), over_white(clear))
    assert to_array(clear, keep_alpha=True) is clear
    data = encoded(Image.fromarray(clear))
    np.testing.assert_array_equal(to_array(data, keep_alpha=True), clear)


def test_an_array_of_three_dimensions_is_one_image():
    # Four columns of RGBA, not three grey images of 5 x 4.
    assert to_array(np.zeros((3, 5, 4), np.uint8)).shape == (3, 5, 3)
    with pytest.raises(PicanetError, match=r"\[H, W\] or \[H, W, 1\].*\(3, 5, 9\)"):
        Echo().predict(np.zeros((3, 5, 9), np.uint8))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_array_of_four_dimensions_is_several(channels):
    several = np.random.default_rng(0).integers(0, 256, (2, 6, 9, channels), np.uint8)
    found = Echo().predict(several)
    assert len(found) == 2
    np.testing.assert_array_equal(found[1], Echo().predict(several[1]))


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [(3, "int"), (None, "NoneType"), ({"a.png": 1}, "dict"), (object(), "object")],
)
def test_unsupported_types_are_named(wrong, kind):
    with pytest.raises(TypeError, match=rf"PIL image or a uint8 array.*\({kind}\)$"):
        Echo().predict(wrong)


def test_file_open_as_text_is_rejected(path):
    for file in (path.open(), io.StringIO("text")):
        with pytest.raises(TypeError, match="^The image is a file open as text"):
            Echo().predict(file)
    with pytest.raises(TypeError, match=r"^images\[1\] is a file open as text"):
        Echo().predict([PHOTO, path.open()])

    class Lines:
        def read(self):
            return "text"

    with pytest.raises(TypeError, match="open in binary mode.* returns str"):
        to_array(Lines())


def test_closed_file_is_rejected(path):
    file = path.open("rb")
    file.close()
    with pytest.raises(PicanetError, match="photo.png: read of closed file"):
        to_array(file)


def test_errors_say_which_image(path):
    broken = path.with_name("broken.png")
    broken.write_bytes(DATA[:60])
    cases = [
        ("nowhere.jpg", PicanetError, r"^nowhere.jpg \(images\[1\]\): no such file$"),
        (broken, PicanetError, r"broken.png \(images\[1\]\): image file is truncated"),
        (broken.open("rb"), PicanetError, r"broken.png \(images\[1\]\): image file is"),
        (b"text", PicanetError, r"^images\[1\]: not an image of a known format$"),
        (PHOTO / 255, PicanetError, r"^images\[1\] must be uint8.*float64 \(6, 9, 3\)"),
        (PHOTO[:0], PicanetError, r"^images\[1\] must be .*not empty.*\(0, 9, 3\)$"),
        (7, TypeError, r"^images\[1\] must be a path.*Received: 7 \(int\)$"),
    ]
    for wrong, kind, message in cases:
        with pytest.raises(kind, match=message):
            list(to_arrays([PHOTO, wrong]))
        if hasattr(wrong, "seek"):
            wrong.seek(0)
        with pytest.raises(kind, match=message):
            Echo().predict(image for image in (PHOTO, wrong))
