"""`resize` compared with that of TensorFlow, which it replaces."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from picanet_tf.core.resizing import resize, resized_bands


def noise(*shape, dtype=np.uint8):
    values = np.random.default_rng(sum(shape)).integers(0, 256, shape)
    return values.astype(dtype)


def by_tensorflow(values, size):
    channels = values if values.ndim == 3 else values[..., np.newaxis]
    resized = tf.image.resize(channels, size, method="bilinear").numpy()
    return resized if values.ndim == 3 else resized[..., 0]


def check(values, size):
    ours = resize(values, size)
    assert ours.dtype == np.float32 and ours.shape == (*size, *values.shape[2:])
    np.testing.assert_allclose(ours, by_tensorflow(values, size), rtol=0, atol=1e-3)


SIZES = [
    ((224, 224), (224, 224)),
    ((300, 400), (224, 224)),
    ((224, 224), (1000, 37)),
    ((17, 640), (640, 17)),
    ((1, 1), (5, 7)),
    ((1, 300), (224, 224)),
    ((300, 1), (1, 1)),
    ((2, 3), (1, 1)),
    ((2, 2), (999, 1001)),
    ((333, 257), (332, 258)),
    ((1080, 1920), (224, 224)),
]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(("before", "after"), SIZES)
def test_resize_equals_tensorflow(before, after, dtype):
    check(noise(*before, 3, dtype=dtype), after)
    check(noise(*before, dtype=dtype), after)


SIDE = st.integers(1, 70)


@settings(max_examples=150, deadline=None)
@given(SIDE, SIDE, SIDE, SIDE)
def test_resize_equals_tensorflow_at_any_size(height, width, new_height, new_width):
    check(noise(height, width, 2), (new_height, new_width))


def test_resize_equals_tensorflow_on_a_large_photo():
    photo = noise(3000, 4000, 3)
    check(photo, (224, 224))
    # And a map back at the photo's size.
    check(noise(224, 224), (3000, 4000))


def test_resize_uses_half_pixel_centres_and_no_antialiasing():
    """Half-pixel centres, edges repeated, no average over what is left out."""
    np.testing.assert_allclose(
        resize(np.array([[0, 100]], np.uint8), (1, 4)), [[0, 25, 75, 100]]
    )
    eight = np.arange(8, dtype=np.uint8)[np.newaxis]
    np.testing.assert_allclose(resize(eight, (1, 2)), [[1.5, 5.5]])
    # Each 4th pixel is bright: an average would be 63.75 everywhere.
    stripes = np.tile(np.uint8([255, 0, 0, 0]), 8)[np.newaxis]
    np.testing.assert_allclose(resize(stripes, (1, 8)), np.zeros([1, 8]))


def test_pillow_resizes_differently():
    """The reason for an operation of our own: Pillow averages when it shrinks."""
    stripes = np.tile(np.uint8([255, 0, 0, 0]), [8, 8])
    image = Image.fromarray(stripes).resize((8, 2), Image.Resampling.BILINEAR)
    assert np.abs(np.asarray(image, np.float32) - resize(stripes, (2, 8))).max() > 40
    # Where it enlarges, they are the same but for rounding.
    small = noise(6, 9)
    image = Image.fromarray(small).resize((45, 30), Image.Resampling.BILINEAR)
    assert np.abs(np.asarray(image, np.float32) - resize(small, (30, 45))).max() <= 1.01


def test_resize_leaves_its_argument_alone():
    values = noise(8, 8, dtype=np.float32)
    before = values.copy()
    resize(values, (3, 20))
    np.testing.assert_array_equal(values, before)
    same = resize(values, (8, 8))
    np.testing.assert_array_equal(same, before)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((4,), (2, 2)),
        ((1, 4, 4, 3), (2, 2)),
        ((0, 4, 3), (2, 2)),
        ((4, 4, 0), (2, 2)),
        ((4, 4), (0, 2)),
        ((4, 4), (2, -1)),
    ],
)
def test_invalid_shapes_are_rejected(shape, size):
    with pytest.raises(
        ValueError, match=r"`values` must be \[H, W\] .*Received: shape"
    ):
        resize(np.zeros(shape), size)


@pytest.mark.parametrize("size", [(100, 77), (20, 60), (33, 21), (1, 9)])
def test_bands_equal_the_rows_of_the_whole_result(size):
    values = np.random.default_rng(0).random((33, 21, 4))
    bands = list(resized_bands(values, size, 32))
    assert [band.start for band, _ in bands] == list(range(0, size[0], 32))
    whole = np.concatenate([rows for _, rows in bands])
    np.testing.assert_allclose(whole, resize(values, size), atol=1e-6)
