import numpy as np
import pytest
import tensorflow as tf

from data_pipeline import augment
from tests.data_pipeline.conftest import picture


@pytest.mark.parametrize("height, width", [(300, 400), (64, 64), (37, 101), (1, 5)])
@pytest.mark.parametrize("side", [64, 37, 256])
def test_resize_equals_tensorflow_exactly(height, width, side):
    array = picture(0, height, width)
    image, mask = augment.resize(array, array[..., :1], side)
    expected = tf.image.resize(array, (side, side), method="bilinear", antialias=False)
    np.testing.assert_array_equal(image, expected)
    expected = tf.image.resize(array[..., :1], (side, side), method="nearest")
    np.testing.assert_array_equal(mask, expected)
    assert image.dtype == tf.float32 and mask.dtype == tf.uint8


def test_the_paper_resizes_to_256_for_a_crop_of_224():
    assert augment.side_before_crop(224) == 256
    assert augment.side_before_crop(384) == 439


def test_image_and_mask_get_the_same_geometry():
    # At the size that it is resized to, nothing is resampled: pixels only move.
    array = picture(0, 64, 64)
    seen = set()
    for number in range(40):
        image, mask = augment.augment_mask(
            tf.constant(array),
            tf.constant(array[..., :1]),
            image_size=56,
            seed=tf.constant([3, number], tf.int64),
        )
        assert image.shape == (56, 56, 3) and mask.shape == (56, 56, 1)
        np.testing.assert_array_equal(image[..., :1], tf.cast(mask, tf.float32))
        seen.add(place(array, image.numpy()))
    tops, lefts, mirrored = (set(values) for values in zip(*seen, strict=True))
    assert mirrored == {False, True}
    assert tops <= set(range(9)) and len(tops) > 5 and {0, 8} <= tops
    assert lefts <= set(range(9)) and len(lefts) > 5 and {0, 8} <= lefts


def place(whole: np.ndarray, part: np.ndarray) -> tuple[int, int, bool]:
    """Where `part` was cut from `whole`, and whether it was mirrored."""
    for mirrored in (False, True):
        view = part[:, ::-1] if mirrored else part
        for top, left in np.ndindex(9, 9):
            if np.array_equal(whole[top : top + 56, left : left + 56], view):
                return top, left, mirrored
    raise AssertionError("not a crop")


def test_crops_and_mirroring_are_uniform():
    array = tf.reshape(tf.range(10 * 10), (10, 10, 1))
    corners = np.zeros((2, 3, 3))

    @tf.function
    def view(number):
        draws = tf.random.stateless_uniform([3], tf.stack([0, number]))
        image, mask = augment.crop(array, array, 8, draws[0], draws[1])
        return augment.mirror(image, mask, draws[2] < 0.5)[1][0, :2, 0]

    for number in range(900):
        first, second = view(tf.constant(number)).numpy()
        mirrored = int(second < first)
        top, left = divmod(first - 7 * mirrored, 10)
        corners[mirrored, top, left] += 1
    # 50 expected in each of 18 cells; five standard deviations are 34.
    assert corners.min() > 16 and corners.max() < 84


def test_augmentation_is_determined_by_its_seed():
    array = tf.constant(picture(0, 64, 64))

    def view(seed, number):
        return augment.augment_mask(
            array, array[..., :1], image_size=56, seed=tf.constant([seed, number])
        )[0].numpy()

    np.testing.assert_array_equal(view(0, 1), view(0, 1))
    assert not np.array_equal(view(0, 1), view(0, 2))
    assert not np.array_equal(view(0, 1), view(1, 1))
