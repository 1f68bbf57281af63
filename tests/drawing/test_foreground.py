"""Colours of an object without its background."""

import numpy as np

from picanet_tf.drawing.foreground import blurred_background, estimate_foreground
from tests.drawing.scenes import GREEN, GREY, disc, mix


def test_the_rim_loses_the_backgrounds_colour():
    """A grey disc on green, laid on black: no green is left in its rim."""
    alpha = disc()
    photo = mix(alpha)
    colours = estimate_foreground(photo, alpha)
    rim = (alpha > 0) & (alpha < 1)
    share = alpha[rim][:, np.newaxis]

    on_black = share * colours[rim]
    assert np.abs(on_black - share * np.array(GREY)).max() <= 3
    assert np.abs(share * photo[rim] - share * np.array(GREY)).max() > 20
    assert colours.dtype == np.uint8


def test_certain_pixels_keep_their_colours():
    alpha = disc()
    photo = np.random.default_rng(0).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    colours = estimate_foreground(photo, alpha)
    certain = (alpha == 0) | (alpha == 1)
    np.testing.assert_array_equal(colours[certain], photo[certain])
    assert (colours[~certain] != photo[~certain]).any()


def test_pixels_without_opacity_lend_no_colour():
    """Red behind full transparency does not reach the object."""
    alpha = disc()
    photo, opacity = mix(alpha), np.ones_like(alpha)
    left = np.s_[:, :40]
    photo[left], opacity[left] = (255, 0, 0), 0
    colours = estimate_foreground(photo, alpha, opacity)
    rim = (alpha > 0.2) & (alpha < 1) & (opacity > 0)
    assert np.abs(colours[rim] - np.array(GREY, float)).max() <= 12


def test_images_without_an_object_or_a_background():
    photo = np.full((9, 7, 3), 77, np.uint8)
    for value in (0, 0.5, 1):
        alpha = np.full((9, 7), value, np.float32)
        np.testing.assert_allclose(estimate_foreground(photo, alpha), photo, atol=1)


def test_the_blurred_background_holds_nothing_of_the_object():
    alpha = disc(radius=0.15)
    blurred = blurred_background(mix(alpha, foreground=(255, 0, 0)), alpha)
    assert np.abs(blurred[alpha < 0.5] - np.array(GREEN, float)).max() <= 8
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    assert blurred_background(noise, alpha).std() < 0.3 * noise.std()
