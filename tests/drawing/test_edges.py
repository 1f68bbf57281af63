"""Guided upsampling."""

import numpy as np
import pytest

from picanet_tf.core.resizing import resize
from picanet_tf.drawing.box_filters import box_mean, shrink, working_size
from picanet_tf.drawing.edges import _linear_model, guide_edges, sharpen
from tests.drawing.scenes import disc, mix


def blurred(alpha, side=28):
    """The map of a network with few output pixels."""
    return resize(shrink(alpha, (side, side)), alpha.shape)


@pytest.mark.parametrize("size", [(300, 400), (1500, 2000)])
def test_a_blurred_map_gets_the_photos_edges(size):
    truth = disc(size, softness=1)
    plain = blurred(truth)
    guided = guide_edges(plain, mix(truth))
    assert guided.dtype == np.float32 and 0 <= guided.min() and guided.max() <= 1
    error, before = np.abs(guided - truth), np.abs(plain - truth)
    assert error.mean() < 0.1 * before.mean()
    # Half-transparent pixels are a line instead of a broad band.
    soft = [((q > 0.1) & (q < 0.9)).mean() for q in (guided, plain)]
    assert soft[0] < 0.15 * soft[1]


def test_without_edges_in_the_photo_the_map_keeps_its_place():
    truth = disc((200, 200))
    flat = np.full((200, 200, 3), 90, np.uint8)
    guided = guide_edges(blurred(truth), flat)
    assert ((guided >= 0.5) != (truth >= 0.5)).mean() < 0.01


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_maps_stay_constant(value):
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    guided = guide_edges(np.full((40, 60), value, np.float32), image)
    np.testing.assert_allclose(guided, value, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (3, 2)])
def test_tiny_photos_are_accepted(size):
    guided = guide_edges(np.ones(size, np.float32), np.zeros([*size, 3], np.uint8))
    np.testing.assert_allclose(guided, np.ones(size), atol=1e-3)


def test_sharpen_squares_the_odds():
    values = np.array([0, 0.25, 0.5, 0.8, 1])
    np.testing.assert_allclose(sharpen(values), [0, 0.1, 0.5, 16 / 17, 1])


def test_the_linear_model_is_the_least_squares_fit_of_each_window():
    """Against numpy's ridge regression in a loop over the windows, in float64."""
    generator = np.random.default_rng(1)
    guide, values = generator.random((7, 6, 3)), generator.random((7, 6))
    slopes = np.zeros((7, 6, 4))
    for y, x in np.ndindex(7, 6):
        window = (slice(max(0, y - 2), y + 3), slice(max(0, x - 2), x + 3))
        inside, target = guide[window].reshape(-1, 3), values[window].ravel()
        centred = inside - inside.mean(0)
        a = np.linalg.solve(
            centred.T @ centred / len(inside) + 1e-4 * np.eye(3),
            centred.T @ (target - target.mean()) / len(inside),
        )
        slopes[y, x] = *a, target.mean() - a @ inside.mean(0)
    expected = np.zeros_like(slopes)
    for y, x in np.ndindex(7, 6):
        window = (slice(max(0, y - 2), y + 3), slice(max(0, x - 2), x + 3))
        expected[y, x] = slopes[window].reshape(-1, 4).mean(0)
    found = _linear_model(np.float32(guide), np.float32(values), 2)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_box_mean_averages_what_lies_inside():
    values = np.arange(12.0).reshape(3, 4)
    expected = [
        [values[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].mean() for x in range(4)]
        for y in range(3)
    ]
    np.testing.assert_allclose(box_mean(values, 1), expected, rtol=1e-6)
    np.testing.assert_allclose(box_mean(values, 9), np.full((3, 4), 5.5), rtol=1e-6)


def test_working_size_limits_the_longer_side():
    assert working_size((3000, 4000)) == (384, 512)
    assert working_size((100, 50)) == (100, 50)
    assert working_size((1, 10_000)) == (1, 512)
