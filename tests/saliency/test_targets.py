"""From a mask to targets, Sec. 4.3."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.saliency.losses import AttentionLoss
from picanet_tf.saliency.targets import attention_target, encode_targets, resize_mask


def naive_attention_target(mask, rows, columns):
    """Eq. 7, position by position; `rows`, `columns` are the grid's."""
    n, height, width, _ = mask.shape
    grid = [(row, column) for row in rows for column in columns]
    target = np.zeros((n, height, width, len(grid)))
    for image, y, x in np.ndindex(n, height, width):
        context = np.array([mask[image, row, column, 0] for row, column in grid])
        wanted = 1 - context if mask[image, y, x, 0] == 1 else context
        if wanted.sum() > 0:
            target[image, y, x] = wanted / wanted.sum()
    return target


def random_mask(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.uniform(size=(2, *shape, 1)) > 0.6).astype("float32")


@pytest.mark.parametrize(
    "shape, kernel_size, rows, columns",
    [
        ((28, 28), 10, range(0, 28, 3), range(0, 28, 3)),  # the paper's grid
        ((4, 4), 4, range(4), range(4)),
        ((7, 7), 3, range(0, 7, 3), range(0, 7, 3)),
        ((8, 8), 3, range(0, 7, 3), range(0, 7, 3)),  # centred, as far as it goes
        ((12, 12), 12, range(12), range(12)),
        ((8, 7), 3, range(0, 7, 3), range(0, 7, 3)),
    ],
)
def test_attention_target_equals_eq_7(shape, kernel_size, rows, columns):
    mask = random_mask(*shape)
    expected = naive_attention_target(mask, rows, columns)
    assert 0 < expected[expected > 0].min() < 0.3  # several positions to look at
    target = attention_target(tf.constant(mask), kernel_size)
    assert target.dtype == tf.float32
    np.testing.assert_allclose(target, expected, atol=1e-6)
    np.testing.assert_allclose(np.sum(target, axis=-1), 1, rtol=1e-5)


def test_attention_target_by_hand():
    mask = tf.constant([[1.0, 0.0], [0.0, 0.0]])[None, :, :, None]
    third = pytest.approx(1 / 3)
    target = attention_target(mask, 2).numpy()
    assert list(target[0, 0, 0]) == [0, third, third, third]  # look at the background
    for y, x in [(0, 1), (1, 0), (1, 1)]:
        assert list(target[0, y, x]) == [1, 0, 0, 0]  # look at the object


def between_the_positions():
    mask = np.zeros([1, 28, 28, 1], "float32")
    mask[0, 1:3, 4:6] = 1  # the grid has rows 0, 3, ... and columns 0, 3, ...
    return mask


@pytest.mark.parametrize(
    "mask, without_target",
    [
        (np.ones([1, 28, 28, 1], "float32"), 28 * 28),
        (np.zeros([1, 28, 28, 1], "float32"), 28 * 28),
        # The background has no salient position to look at; the object has.
        (between_the_positions(), 28 * 28 - 4),
        # The other way round: a hole.
        (1 - between_the_positions(), 28 * 28 - 4),
    ],
)
def test_degenerate_masks_have_no_target(mask, without_target):
    target = attention_target(tf.constant(mask), 10)
    sums = np.sum(target, axis=-1)
    assert (sums == 0).sum() == without_target
    np.testing.assert_allclose(sums[sums != 0], 1, rtol=1e-5)
    logits = tf.Variable(np.random.default_rng(0).normal(size=target.shape))
    with tf.GradientTape() as tape:
        loss = AttentionLoss()(target, tf.nn.softmax(logits))
    gradient = tape.gradient(loss, logits).numpy()
    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[sums == 0], 0)
    if without_target == 28 * 28:
        assert float(loss) == 0


def test_masks_are_resized_bilinearly_then_thresholded():
    # Halving with half-pixel centres is the mean of 2x2.
    mask = np.array(
        [
            [1, 1, 1, 0],
            [1, 0, 1, 0],
            [0, 0, 0, 0],
            [0, 1, 1, 1],
        ],
        "float32",
    )[None, :, :, None]
    # Means 0.75, 0.5; 0.25, 0.5: half is not more than 0.5.
    np.testing.assert_array_equal(resize_mask(mask, 2, 2)[0, ..., 0], [[1, 0], [0, 0]])
    np.testing.assert_array_equal(resize_mask(mask, 4, 4), mask)


def test_masks_are_resized_without_antialiasing():
    """When shrinking by 4, only the two pixels at the centre count."""
    mask = np.array([[0, 1, 1, 0]] * 4, "float32")[None, :, :, None]
    assert float(resize_mask(mask, 1, 1)) == 1  # the mean of all is 0.5


def test_grey_masks_are_thresholded_too():
    mask = np.array([[0.4, 0.5, 0.6, 1.0]], "float32")[None, :, :, None]
    np.testing.assert_array_equal(resize_mask(mask, 1, 4).numpy().ravel(), [0, 0, 1, 1])


def test_targets_of_a_models_outputs():
    outputs = {
        "stage6": keras.KerasTensor((None, 4, 4, 1)),
        "stage1": keras.KerasTensor((None, 32, 32, 1)),
        "attention6": keras.KerasTensor((None, 4, 4, 16)),
        "attention5": keras.KerasTensor((None, 4, 4, 49)),  # not supervised
    }
    mask = np.zeros([2, 32, 32, 1], "float32")
    mask[0, :16] = 1
    targets = encode_targets(tf.constant(mask), outputs)
    assert set(targets) == {"stage6", "stage1", "attention6"}
    np.testing.assert_array_equal(targets["stage1"], mask)
    small = np.zeros([2, 4, 4, 1])
    small[0, :2] = 1
    np.testing.assert_array_equal(targets["stage6"], small)
    expected = naive_attention_target(small, range(4), range(4))
    np.testing.assert_allclose(targets["attention6"], expected, atol=1e-6)


def test_targets_are_encoded_in_a_dataset():
    outputs = {
        "stage6": keras.KerasTensor((None, 4, 4, 1)),
        "attention6": keras.KerasTensor((None, 4, 4, 16)),
    }
    masks = random_mask(32, 32)
    data = tf.data.Dataset.from_tensor_slices(masks).batch(2)
    (targets,) = data.map(lambda mask: encode_targets(mask, outputs))
    expected = encode_targets(tf.constant(masks), outputs)
    for name in outputs:
        np.testing.assert_array_equal(targets[name], expected[name])
