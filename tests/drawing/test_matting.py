"""Alpha refined by pymatting."""

import sys

import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.drawing.cutouts import CutoutOptions
from picanet_tf.drawing.matting import refine_alpha
from tests.drawing.scenes import disc, mix


@pytest.mark.parametrize("size", [(120, 160), (1200, 1600)])
def test_alpha_near_the_edge_comes_from_the_photo(size, capsys):
    """The map has a hard edge where the photo has a soft one; one is over the limit."""
    pytest.importorskip("pymatting")
    truth = disc(size, softness=0.03 * size[0])
    rough = np.float32(truth >= 0.5)
    refined = refine_alpha(rough, mix(truth))
    assert capsys.readouterr().out == ""  # Pictures may go there.
    assert refined.shape == size and refined.dtype == np.float32
    assert np.abs(refined - truth).mean() < 0.5 * np.abs(rough - truth).mean()


def test_maps_without_an_edge_are_kept():
    pytest.importorskip("pymatting")
    photo = np.zeros((20, 30, 3), np.uint8)
    for value in (0, 1):
        saliency = np.full((20, 30), value, np.float32)
        np.testing.assert_array_equal(refine_alpha(saliency, photo), saliency)


def test_missing_pymatting_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymatting", None)
    with pytest.raises(PicanetError, match="`matting` .*pip install pymatting"):
        CutoutOptions(matting=True)


def test_far_from_the_edge_the_map_decides():
    """A wide part of which the map is unsure is neither erased nor made certain."""
    pytest.importorskip("pymatting")
    saliency = 0.7 * disc((200, 200), radius=0.4, softness=1)
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    refined = refine_alpha(saliency, noise)
    np.testing.assert_allclose(refined[80:120, 80:120], 0.7, atol=1e-3)
    assert (refined[:10] == 0).all()


@pytest.mark.parametrize("size", [(300, 1), (2, 800), (3, 4000), (1, 1)])
def test_thin_photos_keep_their_edges_where_there_is_no_solution(size):
    pytest.importorskip("pymatting")
    saliency = np.zeros(size, np.float32)
    saliency[: size[0] // 2 + 1, : size[1] // 2 + 1] = 1
    image = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    refined = refine_alpha(saliency, image)
    assert refined.shape == size and 0 <= refined.min() <= refined.max() <= 1
