"""What a cut-out is laid on."""

import numpy as np
import pytest
from PIL import Image

from picanet_tf.core.errors import PicanetError
from picanet_tf.drawing.backgrounds import lay_over, parse_background

IMAGE = np.zeros((4, 6, 3), np.uint8)
ALL = np.s_[:, :]
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
def test_colours_are_parsed(text, colour):
    assert tuple(parse_background(text)(IMAGE, ALPHA, None, ALL)) == colour


def test_colour_name_is_not_taken_for_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(IMAGE).save("white", "PNG")
    assert parse_background("white")(IMAGE, ALPHA, None, ALL).tolist() == [255] * 3
    path = tmp_path / "white"
    assert parse_background(path)(IMAGE, ALPHA, None, ALL).shape == IMAGE.shape


def test_transparent_is_none():
    assert parse_background("transparent") is None


def test_a_photo_covers_the_frame(tmp_path):
    """A wide photo is scaled to the frame's height; its sides are cut off."""
    photo = np.zeros((20, 100, 3), np.uint8)
    photo[:, 30:70] = 200
    Image.fromarray(photo).save(tmp_path / "beach.png")
    draw = parse_background(str(tmp_path / "beach.png"))
    image = np.zeros((40, 60, 3), np.uint8)
    laid = draw(image, np.zeros((40, 60)), None, ALL)
    assert laid.shape == (40, 60, 3) and laid.min() >= 190
    # It covers what is kept of a cropped picture, not what is cropped away.
    cropped = draw(image, np.zeros((40, 60)), None, np.s_[10:14, 20:40])
    assert cropped.shape == (4, 20, 3)
    np.testing.assert_allclose(cropped[:, [0, -1]].max(), 0, atol=20)


@pytest.mark.parametrize(
    "text",
    ["", "whit", "#12345", "#ff000080", "nowhere.jpg", "a" * 300, "rgb(300,0,0)",
     "hsl(400,200%,150%)", (255, 0, 0), None],
)  # fmt: skip
def test_invalid_backgrounds_are_rejected(text):
    with pytest.raises(PicanetError, match="`background` must be transparent, blur, a"):
        parse_background(text)


def test_unreadable_photo_is_reported(tmp_path):
    (tmp_path / "notes.txt").write_text("a")
    with pytest.raises(PicanetError, match=r"`background` .*notes.txt: not an image"):
        parse_background(str(tmp_path / "notes.txt"))


def test_paths_can_be_excluded(tmp_path):
    """A server does not read its files for its clients."""
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    with pytest.raises(PicanetError, match="a colour such as white or '#ff8800'. Rec"):
        parse_background(str(tmp_path / "a.png"), files=False)


def test_lay_over_blends_by_alpha():
    colours = np.full((300, 2, 3), 100, np.uint8)
    alpha = np.tile(np.float32([0.25, 1]), (300, 1))
    laid = lay_over(colours, alpha, np.array([200, 0, 100], np.uint8))
    assert (laid[:, 0] == [175, 25, 100]).all() and (laid[:, 1] == 100).all()
