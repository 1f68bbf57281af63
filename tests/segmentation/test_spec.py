"""The NumPy half of prediction, compared with that of TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.segmentation import prediction
from picanet_tf.tasks import get_spec

SPEC = get_spec("segmentation")


def random_logits(side, seed):
    return np.random.default_rng(seed).normal(0, 3, (side, side, 21)).astype("float32")


def by_tensorflow(logits, size, side):
    """(class of each pixel, how far the second best logit is below the best)."""
    logits = prediction.crop_to_image(logits, size, side)
    best = tf.math.top_k(logits, 2).values
    return prediction.classes_of(logits).numpy(), (best[..., 0] - best[..., 1]).numpy()


@pytest.mark.parametrize(
    "size, side",
    [
        ((30, 45), 64),  # smaller than the network's input
        ((64, 64), 64),
        ((64, 20), 64),
        ((1, 1), 33),
        ((65, 64), 64),  # a little larger
        ((150, 120), 64),
        ((1, 200), 33),
        ((333, 500), 97),
    ],
)
def test_postprocess_equals_tensorflow(size, side):
    """Two logits that are nearly alike may be either way round: here less than 1e-5."""
    for seed in range(3):
        logits = random_logits(side, seed)
        classes = SPEC.postprocess(logits, size, side)
        assert classes.shape == size and classes.dtype == np.uint8
        wanted, lead = by_tensorflow(logits, size, side)
        clear = lead > 1e-5
        assert clear.mean() > 0.99
        np.testing.assert_array_equal(classes[clear], wanted[clear])


def test_of_equal_logits_the_first_class_wins():
    logits = np.zeros([8, 8, 21], np.float32)
    assert (SPEC.postprocess(logits, (8, 8), 8) == 0).all()
    logits[..., 5:7] = 1
    assert (SPEC.postprocess(logits, (20, 6), 8) == 5).all()


@pytest.mark.parametrize("size", [(30, 45), (64, 64), (70, 40), (333, 500)])
def test_resize_equals_tensorflow(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    ours = SPEC.resize(image, 64)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, prediction.resize(image, 64), atol=1e-3)


def test_the_frame_is_a_square_of_grey_around_the_photo():
    image = np.full([30, 45, 3], 9, np.uint8)
    frame = SPEC.frame(image, 64)
    assert frame.shape == (64, 64, 3) and frame.dtype == np.uint8
    assert (frame[:30, :45] == 9).all()
    frame[:30, :45] = (124, 117, 104)
    assert (frame == (124, 117, 104)).all()
    assert SPEC.frame(np.zeros([30, 90, 3], np.uint8), 64).shape == (90, 90, 3)
