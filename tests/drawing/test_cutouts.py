"""Cut-outs, from a photo and its map."""

import sys

import numpy as np
import pytest
from PIL import Image

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.resizing import resize
from picanet_tf.drawing.box_filters import shrink
from picanet_tf.drawing.cutouts import CutoutOptions, adjust_map, cut_out, keep_largest
from picanet_tf.drawing.edges import guide_edges
from tests.drawing.scenes import GREY, disc, mix

PLAIN = {"edges": "plain"}


def test_alpha_is_the_guided_map():
    truth = disc((300, 400), softness=1)
    photo, saliency = mix(truth), resize(shrink(truth, (28, 28)), truth.shape)
    cut = cut_out(photo, saliency)
    assert cut.shape == (300, 400, 4) and cut.dtype == np.uint8
    expected = np.round(255 * guide_edges(saliency, photo))
    np.testing.assert_array_equal(cut[..., 3], expected)


def test_plain_edges_are_the_maps_and_colours_lose_the_background():
    alpha = disc()
    cut = cut_out(mix(alpha), alpha, CutoutOptions(**PLAIN))
    np.testing.assert_array_equal(cut[..., 3], np.round(alpha * 255))
    share = alpha[..., np.newaxis]
    assert np.abs(share * cut[..., :3] - share * np.array(GREY)).max() <= 3


@pytest.mark.parametrize("edges", ["plain", "guided"])
def test_transparent_photos_stay_transparent(edges):
    """Alpha out is alpha in times the map; colours come from the original."""
    saliency = np.ones((8, 8), np.float32)
    photo = np.zeros((8, 8, 4), np.uint8)
    photo[:, :4] = (255, 0, 0, 128)  # half-transparent red beside nothing
    cut = cut_out(photo, saliency, CutoutOptions(edges=edges))
    assert (cut[:, :4] == (255, 0, 0, 128)).all()
    assert (cut[:, 4:, 3] == 0).all()
    half = cut_out(photo, 0.5 * saliency, CutoutOptions(edges=edges))
    assert np.abs(half[:, :4].astype(int) - (255, 0, 0, 64)).max() <= 1


def test_an_opaque_background_gives_an_opaque_result():
    alpha = disc()
    photo = mix(alpha)
    cut = cut_out(photo, alpha, CutoutOptions(background="#ff0000", **PLAIN))
    assert cut.shape == (120, 160, 3)
    assert cut[0, 0].tolist() == [255, 0, 0] and cut[60, 80].tolist() == list(GREY)
    blurred = cut_out(photo, alpha, CutoutOptions(background="blur", **PLAIN))
    assert blurred.shape == (120, 160, 3)
    # A transparent photo lets the background shine through, too.
    clear = np.dstack([photo, np.full((120, 160), 0, np.uint8)])
    laid = cut_out(clear, alpha, CutoutOptions(background="white", **PLAIN))
    assert (laid == 255).all()


def test_crop_keeps_the_object():
    alpha = np.zeros((100, 100), np.float32)
    alpha[20:50, 30:70] = 1
    alpha[19, 30:70] = 0.2  # a soft edge, which belongs to it
    alpha[0, 0] = 0.4  # a speck far from it
    photo = np.random.default_rng(0).integers(0, 256, (100, 100, 3)).astype(np.uint8)
    cut = cut_out(photo, alpha, CutoutOptions(crop=True, **PLAIN))
    assert cut.shape == (31, 40, 4)
    np.testing.assert_array_equal(cut[1:, :, :3], photo[20:50, 30:70])
    np.testing.assert_array_equal(cut[0, :, 3], 51)
    white = CutoutOptions(crop=True, background="white", **PLAIN)
    assert cut_out(photo, alpha, white).shape == (31, 40, 3)


def test_crop_without_an_object_is_an_error():
    with pytest.raises(PicanetError, match="nothing to crop to: no visible pixel"):
        cut_out(mix(disc()), np.zeros((120, 160)), CutoutOptions(crop=True))


def test_invert_keeps_the_background():
    alpha = disc()
    cut = cut_out(mix(alpha), alpha, CutoutOptions(invert=True, **PLAIN))
    np.testing.assert_array_equal(cut[..., 3], np.round((1 - alpha) * 255))
    np.testing.assert_array_equal(
        adjust_map(mix(alpha), alpha, CutoutOptions(invert=True)), 1 - alpha
    )


def test_largest_only_clears_around_the_other_objects():
    saliency = np.zeros((60, 100), np.float32)
    saliency[10:50, 10:50] = 0.9
    saliency[20:30, 80:90] = 1.0
    saliency[20:30, 52] = 0.3  # soft, nearer to the first
    saliency[20:30, 78] = 0.3  # soft, nearer to the second
    kept = keep_largest(saliency)
    np.testing.assert_array_equal(kept[:, :60], saliency[:, :60])
    assert (kept[:, 70:] == 0).all()
    alone = np.where(np.arange(100) < 60, saliency, 0)
    np.testing.assert_array_equal(keep_largest(alone), alone)
    np.testing.assert_array_equal(keep_largest(saliency / 4), saliency / 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"edges": "sharp"}, "`edges` must be one of guided, plain. Received: sharp"),
        ({"background": "pnik"}, "`background` must be transparent, blur, a colour"),
    ],
)
def test_invalid_options_are_rejected(options, message):
    with pytest.raises(PicanetError, match=message):
        CutoutOptions(**options)


def test_largest_only_requires_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(PicanetError, match="`largest_only` requires OpenCV .*pip ins"):
        CutoutOptions(largest_only=True)


def test_options_only_for_cutouts():
    assert CutoutOptions(edges="guided", invert=True).only_for_cutouts() == []
    options = CutoutOptions(matting=True, background="white", crop=True)
    assert options.only_for_cutouts() == ["matting", "background", "crop"]


def test_largest_only_ignores_transparent_objects():
    saliency = np.zeros((60, 100), np.float32)
    saliency[5:55, 5:50] = saliency[20:40, 70:90] = 1
    photo = np.full((60, 100, 4), 255, np.uint8)
    photo[:, :60, 3] = 0
    cut = cut_out(photo, saliency, CutoutOptions(largest_only=True, **PLAIN))
    assert (cut[20:40, 70:90, 3] == 255).all() and cut[..., 3].sum() == 255 * 400


def test_a_background_photo_is_read_once(tmp_path):
    Image.fromarray(mix(disc())).save(tmp_path / "beach.png")
    options = CutoutOptions(background=tmp_path / "beach.png", crop=True)
    (tmp_path / "beach.png").unlink()
    alpha = disc()
    cut = cut_out(mix(alpha), alpha, options)
    assert cut.shape[2] == 3 and cut.shape[0] < 120


@pytest.mark.parametrize("name", ["matting", "crop", "largest_only", "invert"])
def test_strings_are_rejected_as_booleans(name):
    with pytest.raises(PicanetError, match=f"`{name}` must be True or False.*'no'"):
        CutoutOptions(**{name: "no"})
