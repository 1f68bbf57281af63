"""Which photos calibrate, and which an export is compared on."""

import numpy as np
import pytest

from picanet_tf.serving.photos import split, vary_brightness


@pytest.mark.parametrize(
    ("count", "compared"),
    [(0, 0), (3, 0), (15, 0), (16, 8), (17, 8), (24, 8), (72, 8)],
)
def test_no_photo_both_calibrates_and_is_compared_on(count, compared):
    images = [np.full([1, 1, 3], n, np.uint8) for n in range(count)]
    calibrating, others = split(images)
    assert len(others) == compared and len(calibrating) == count - compared
    numbers = [int(image[0, 0, 0]) for image in (*calibrating, *others)]
    assert sorted(numbers) == list(range(count))


def test_copies_are_brighter_and_darker():
    (same, bright, dark) = vary_brightness([np.uint8([[[0, 100, 200]]])])
    assert same.tolist() == [[[0, 100, 200]]]
    assert bright.tolist() == [[[0, 160, 255]]]
    assert dark.tolist() == [[[0, 40, 80]]]
    assert bright.dtype == dark.dtype == np.uint8
