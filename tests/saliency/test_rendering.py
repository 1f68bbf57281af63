"""A saliency map as a picture."""

import numpy as np
import pytest

from picanet_tf.drawing.cutouts import CutoutOptions
from picanet_tf.drawing.edges import guide_edges
from picanet_tf.drawing.maps import heat, overlay
from picanet_tf.saliency.rendering import FORMATS, render


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)


@pytest.fixture
def saliency():
    values = np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)
    values[0, 1] = 0.5
    return values


def test_map_is_drawn_in_grey(image, saliency):
    drawn = render("map", image, saliency)
    np.testing.assert_array_equal(drawn, np.round(saliency * 255))
    assert drawn.dtype == np.uint8


def test_mask_is_thresholded(image, saliency):
    drawn = render("mask", image, saliency, 0.5)
    assert drawn.dtype == np.uint8 and set(np.unique(drawn)) == {0, 255}
    assert drawn[0, 1] == 255  # the threshold itself is salient
    np.testing.assert_array_equal(drawn == 255, saliency >= 0.5)
    assert (render("mask", image, saliency, 0) == 255).all()


def test_cutout_has_the_map_as_alpha(image, saliency):
    drawn = render("cutout", image, saliency, cutout=CutoutOptions(edges="plain"))
    assert drawn.shape == (6, 8, 4)
    np.testing.assert_array_equal(drawn[..., 3], render("map", image, saliency))
    guided = render("cutout", image, saliency)
    assert (guided[..., 3] != drawn[..., 3]).any()


def test_edges_largest_and_invert_apply_to_maps_and_masks(image, saliency):
    inverted = CutoutOptions(invert=True)
    np.testing.assert_array_equal(
        render("map", image, saliency, cutout=inverted), np.round((1 - saliency) * 255)
    )
    guided = render("mask", image, saliency, cutout=CutoutOptions(edges="guided"))
    expected = guide_edges(saliency, image) >= 0.5
    np.testing.assert_array_equal(guided == 255, expected)


def test_a_transparent_photo_is_drawn_over_white(image, saliency):
    clear = np.dstack([image, np.zeros((6, 8), np.uint8)])
    white = np.full_like(image, 255)
    np.testing.assert_array_equal(
        render("overlay", clear, saliency), render("overlay", white, saliency)
    )
    assert (render("panel", clear, saliency)[:, :8] == 255).all()
    assert (render("cutout", clear, saliency)[..., 3] == 0).all()


def test_overlay_mixes_the_image_with_its_heat(image, saliency):
    drawn = overlay(image, saliency, opacity=0.25)
    expected = 0.75 * image + 0.25 * heat(saliency)
    assert np.abs(drawn - expected).max() <= 0.51
    # turbo: dark blue below, dark red above
    low, high = heat(np.array([[0.0, 1.0]]))[0].astype(int)
    assert low[2] > low[0] and high[0] > high[2]


def test_turbo_equals_matplotlib():
    """Ours is a table of 256 steps; matplotlib draws the other colormaps."""
    matplotlib = pytest.importorskip("matplotlib")
    grey = np.linspace(0, 1, 256, dtype=np.float32)[np.newaxis]
    table = matplotlib.colormaps["turbo"](np.arange(256))[:, :3] * 255
    assert np.abs(heat(grey)[0] - table).max() <= 0.501
    np.testing.assert_array_equal(
        heat(grey, "viridis")[0],
        np.round(matplotlib.colormaps["viridis"](np.arange(256))[:, :3] * 255),
    )


def test_heat_clips_what_is_out_of_range():
    low, zero, one, high = heat(np.array([[-3.0, 0, 1, 7]]))[0].tolist()
    assert low == zero and one == high and zero != one


def test_overlay_leaves_nan_unpainted(image, saliency):
    saliency[2:] = np.nan
    drawn = overlay(image, saliency)
    np.testing.assert_array_equal(drawn[2:], image[2:])
    assert (drawn[:2] != image[:2]).any()


def test_panel_holds_the_others_side_by_side(image, saliency):
    drawn = render("panel", image, saliency)
    assert drawn.shape == (6, 4 * 8 + 3 * 4, 3)
    np.testing.assert_array_equal(drawn[:, :8], image)
    np.testing.assert_array_equal(drawn[:, 12:20, 0], render("map", image, saliency))
    np.testing.assert_array_equal(drawn[:, 24:32], overlay(image, saliency))
    # The cut-out lies on a checkerboard: nothing of it where the map is 0.
    assert drawn[0, 36].tolist() == [204, 204, 204]
    cut = render("cutout", image, saliency)
    share = cut[5, 7, 3] / 255
    expected = share * cut[5, 7, :3] + (1 - share) * 255
    np.testing.assert_allclose(drawn[5, 43], expected, atol=1)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1, 1), (1, 16)),
        ((10, 20_000), (4 * 1 + 12, 1024)),  # below one another
        ((3000, 2000), (1024, 4 * 683 + 12)),
    ],
)
def test_panels_of_extreme_sizes(size, expected):
    image = np.zeros([*size, 3], np.uint8)
    drawn = render("panel", image, np.zeros(size, np.float32))
    assert drawn.shape == (*expected, 3)


def test_every_format_of_one_pixel():
    shapes = {}
    for form in FORMATS:
        drawn = render(form, np.zeros([1, 1, 3], np.uint8), np.ones([1, 1]))
        assert drawn.dtype == np.uint8
        shapes[form] = drawn.shape
    assert shapes == {
        "map": (1, 1),
        "mask": (1, 1),
        "cutout": (1, 1, 4),
        "overlay": (1, 1, 3),
        "panel": (1, 16, 3),
    }


def test_unknown_format_is_rejected(image, saliency):
    with pytest.raises(ValueError, match="`form` must be one of .*form='jpeg'"):
        render("jpeg", image, saliency)


def test_the_formats_are_the_five():
    assert FORMATS == ("map", "mask", "cutout", "overlay", "panel")
