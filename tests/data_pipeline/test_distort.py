"""SSD's photometric distortion, compared with Caffe's steps pixel by pixel.

The factors are drawn inside, so they are inferred from patches of known colours:
grey ones give brightness and contrast, a coloured one saturation and hue.
"""

import colorsys

import numpy as np
import pytest
import tensorflow as tf

from data_pipeline.augment_boxes import distort

# Far from both ends: nothing that is drawn clips them.
GREYS, COLOUR = (70.0, 130.0), (120.0, 100.0, 80.0)
SEEDS = 1000


def naive(pixel, brightness, contrast, saturation, hue, early):
    """`DistortImage` of Caffe's SSD; clipped to 0..255 where its bytes are."""
    pixel = [clip(value + brightness) for value in pixel]
    if early:
        pixel = [clip(value * contrast) for value in pixel]
    h, s, v = colorsys.rgb_to_hsv(*(value / 255 for value in pixel))
    h, s = (h + hue) % 1, min(s * saturation, 1)
    pixel = [clip(value * 255) for value in colorsys.hsv_to_rgb(h, s, v)]
    if not early:
        pixel = [clip(value * contrast) for value in pixel]
    return pixel


def clip(value):
    return min(max(value, 0.0), 255.0)


def picture():
    """A row of the patches, then random colours, greys, and the ends of the range."""
    rng = np.random.default_rng(0)
    colours = rng.uniform(0, 255, (60, 3))
    greys = np.linspace(0, 255, 12)[:, np.newaxis].repeat(3, axis=1)
    corners = np.reshape(np.meshgrid([0, 255], [0, 255], [0, 255]), (3, 8)).T
    patches = [[value] * 3 for value in GREYS] + [COLOUR]
    return np.concatenate([patches, colours, greys, corners]).astype(np.float32)


def factors(pixels):
    """(brightness, contrast, saturation, hue) that made `pixels` of `picture()`."""
    low, high = pixels[:2, 0]
    contrast = (high - low) / (GREYS[1] - GREYS[0])
    brightness = low / contrast - GREYS[0]
    before = colorsys.rgb_to_hsv(*(np.array(COLOUR) + brightness))
    after = colorsys.rgb_to_hsv(*pixels[2] / contrast)
    hue = (after[0] - before[0] + 0.5) % 1 - 0.5
    return brightness, contrast, after[1] / before[1], hue


@pytest.fixture(scope="module")
def distorted():
    """float64 [seeds, pixels, 3], and the factors, [seeds, 4]."""
    image = tf.constant(picture()[np.newaxis])
    one = tf.function(lambda number: distort(image, tf.stack([number, 7])))
    found = np.stack([one(number).numpy()[0] for number in tf.range(SEEDS)])
    found = found.astype(np.float64)
    return found, np.array([factors(pixels) for pixels in found])


def test_every_pixel_equals_the_naive_distortion(distorted):
    found, drawn = distorted
    image = picture().astype(np.float64)
    orders = []
    for pixels, values in zip(found[:400], drawn[:400], strict=True):
        off = [
            np.abs([naive(p, *values, early) for p in image] - pixels).max()
            for early in (True, False)
        ]
        assert min(off) < 0.02
        orders += [off[0] < off[1]] if max(off) > 0.5 else []
    # The order is seen where contrast clips a pixel, and is a coin's.
    assert len(orders) > 40 and 0.2 < np.mean(orders) < 0.8


@pytest.mark.parametrize(
    "which, neutral, low, high",
    [
        ("brightness", 0, -32, 32),
        ("contrast", 1, 0.5, 1.5),
        ("saturation", 1, 0.5, 1.5),
        ("hue", 0, -18 / 180, 18 / 180),
    ],
)
def test_each_distortion_affects_half_uniformly_over_its_range(
    distorted, which, neutral, low, high
):
    number = ["brightness", "contrast", "saturation", "hue"].index(which)
    values = distorted[1][:, number]
    slack = (high - low) * 1e-4
    changed = values[np.abs(values - neutral) > slack]
    assert 0.44 < len(changed) / SEEDS < 0.56  # 4 standard deviations
    assert changed.min() > low - slack and changed.max() < high + slack
    share = np.histogram(changed, 4, (low - slack, high + slack))[0] / len(changed)
    np.testing.assert_allclose(share, 0.25, atol=0.08)


def test_distortions_are_independent(distorted):
    """All 16 combinations, each of about a sixteenth of the images."""
    changed = np.abs(distorted[1] - [0, 1, 1, 0]) > [0.01, 1e-4, 1e-4, 1e-5]
    counts = np.bincount(changed @ [8, 4, 2, 1], minlength=16) / SEEDS
    np.testing.assert_allclose(counts, 1 / 16, atol=0.032)
    drawn = np.abs(np.corrcoef(distorted[1].T)[np.triu_indices(4, 1)])
    assert drawn.max() < 0.13


def test_grey_stays_grey_and_in_range(distorted):
    found, _ = distorted
    assert found.min() >= 0 and found.max() <= 255
    greys = found[:, 63:75]
    assert np.ptp(greys, axis=-1).max() < 1e-3
    assert (np.diff(greys[..., 0], axis=1) > -1e-3).all()


def test_distortion_is_determined_by_its_seed(distorted):
    image = tf.constant(picture()[np.newaxis])
    again = distort(image, tf.constant([3, 7]))
    np.testing.assert_allclose(again[0], distorted[0][3], atol=1e-3)
    assert np.abs(distorted[0][3] - distorted[0][4]).max() > 1
