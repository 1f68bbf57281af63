"""What a cut-out is laid on."""

import numpy as np
import pytest
from PIL import Image

from picanet_tf.core.errors import PicanetError
from picanet_tf.drawing.backgrounds import lay_over, parse_background

IMAGE = np.zeros((4, 6, 3), np.uint8)
ALPHA = np.zeros((4, 6), np.float32)


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("white", (255, 255, 255)),
        ("black", (0, 0, 0)),
        ("#0080ff", (0, 128, 255)),
        ("#f00", (255, 0, 0)),
    ],
)
def test_colours(text, colour):
    assert tuple(parse_background(text)(IMAGE, ALPHA, None)) == colour


def test_a_colours_name_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(IMAGE).save("white", "PNG")
    assert parse_background("white")(IMAGE, ALPHA, None).tolist() == [255] * 3
    assert parse_background("./white")(IMAGE, ALPHA, None).shape == IMAGE.shape


def test_transparent_is_none():
    assert parse_background("transparent") is None


def test_a_photo_covers_the_frame(tmp_path):
    """A wide photo is scaled to the frame's height; its sides are cut off."""
    photo = np.zeros((20, 100, 3), np.uint8)
    photo[:, 30:70] = 200
    Image.fromarray(photo).save(tmp_path / "beach.png")
    draw = parse_background(str(tmp_path / "beach.png"))
    laid = draw(np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60)), None)
    assert laid.shape == (40, 60, 3) and laid.min() >= 190


@pytest.mark.parametrize("text", ["", "whit", "#12345", "#ff000080", "nowhere.jpg"])
def test_what_is_no_background(text):
    with pytest.raises(PicanetError, match="`background` must be transparent, blur, a"):
        parse_background(text)


def test_a_file_that_is_no_photo(tmp_path):
    (tmp_path / "notes.txt").write_text("a")
    with pytest.raises(PicanetError, match=r"notes.txt: not an image"):
        parse_background(str(tmp_path / "notes.txt"))


def test_paths_can_be_excluded(tmp_path):
    """A server does not read its files for its clients."""
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    with pytest.raises(PicanetError, match="a colour such as white or #ff8800. Rec"):
        parse_background(str(tmp_path / "a.png"), files=False)


def test_lay_over():
    colours = np.full((300, 2, 3), 100, np.uint8)
    alpha = np.tile(np.float32([0.25, 1]), (300, 1))
    laid = lay_over(colours, alpha, np.array([200, 0, 100], np.uint8))
    assert (laid[:, 0] == [175, 25, 100]).all() and (laid[:, 1] == 100).all()
