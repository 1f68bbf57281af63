"""The multibox loss against loops in float64, and by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.detection.losses import (
    LocationLoss,
    ScoreLoss,
    loss_weights,
    losses,
)
from picanet_tf.tasks import get_task


def batch(seed, positives, boxes=40, classes=21):
    """Targets and outputs, the n-th image with `positives[n]` positives."""
    rng = np.random.default_rng(seed)
    labels = np.zeros([len(positives), boxes], np.int64)
    for row, count in zip(labels, positives, strict=True):
        row[rng.permutation(boxes)[:count]] = rng.integers(1, classes, count)
    offsets = rng.normal(0, 2, [*labels.shape, 4]) * (labels > 0)[..., None]
    targets = np.concatenate([offsets, (labels > 0)[..., None]], axis=-1)
    locations = rng.normal(0, 2, offsets.shape)
    logits = rng.normal(0, 2, [*labels.shape, classes])
    return targets, locations, labels, logits


def location_loss(targets, locations):
    total, positives = 0.0, 0
    for image, found in zip(targets, locations, strict=True):
        for target, location in zip(image, found, strict=True):
            if target[4]:
                positives += 1
                for wanted, given in zip(target[:4], location, strict=True):
                    off = abs(wanted - given)
                    total += off**2 / 2 if off < 1 else off - 0.5
    return total / max(positives, 1)


def score_loss(labels, logits):
    total, positives = 0.0, 0
    for image, found in zip(labels, logits, strict=True):
        own, hard = [], []
        for label, row in zip(image, found, strict=True):
            loss = np.log(np.exp(row - row.max()).sum()) + row.max() - row[label]
            (own if label else hard).append(loss)
        hard = sorted(hard, reverse=True)[: 3 * len(own)]
        total += sum(own) + sum(hard)
        positives += len(own)
    return total / max(positives, 1)


@pytest.mark.parametrize(
    "positives", [(3, 5), (1, 0), (0, 0), (40, 2), (15, 9), (0, 13, 1)]
)
def test_losses_equal_naive_loops(positives):
    targets, locations, labels, logits = batch(sum(positives), positives)
    found = LocationLoss(dtype="float64")(targets, locations)
    assert float(found) == pytest.approx(location_loss(targets, locations), rel=1e-10)
    found = ScoreLoss(dtype="float64")(labels, logits)
    assert float(found) == pytest.approx(score_loss(labels, logits), rel=1e-10)
    found = ScoreLoss()(labels, np.float32(logits))
    assert float(found) == pytest.approx(score_loss(labels, logits), rel=1e-5)


def test_smooth_l1_by_hand():
    """0.5 off is 0.125, 3 off 2.5; the other box is a negative."""
    targets = [[[0.0, 0, 0, 0, 1], [9, 9, 9, 9, 0]]]
    locations = [[[0.5, -3.0, 0, 0], [1, 1, 1, 1]]]
    found = LocationLoss()(np.array(targets), np.array(locations))
    assert float(found) == pytest.approx(2.625)


def test_hard_negatives_by_hand():
    """One positive: three of five negatives count, those most sure of an object."""
    logits = np.zeros([1, 6, 2], np.float32)
    logits[0, :, 1] = [0, 4, 1, 5, 3, 2]
    found = ScoreLoss()(np.array([[1, 0, 0, 0, 0, 0]]), logits)
    expected = np.log(2) + sum(np.log1p(np.exp(x)) for x in (5, 4, 3))
    assert float(found) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_without_objects_losses_and_gradients_are_zero(scale):
    targets, locations, labels, logits = batch(0, (0, 0))
    locations, logits = (
        tf.constant(scale * x, tf.float32) for x in (locations, logits)
    )
    with tf.GradientTape() as tape:
        tape.watch([locations, logits])
        loss = LocationLoss()(targets, locations) + ScoreLoss()(labels, logits)
    assert float(loss) == 0
    for gradient in tape.gradient(loss, [locations, logits]):
        np.testing.assert_array_equal(gradient, 0)


def test_gradients_reach_positives_and_hard_negatives_alone():
    targets, locations, labels, logits = batch(1, (2, 0))
    locations, logits = (tf.constant(x, tf.float32) for x in (locations, logits))
    with tf.GradientTape() as tape:
        tape.watch([locations, logits])
        loss = LocationLoss()(targets, locations) + ScoreLoss()(labels, logits)
    of_locations, of_logits = tape.gradient(loss, [locations, logits])
    touched = np.abs(of_locations).max(axis=-1) > 0
    np.testing.assert_array_equal(touched, labels > 0)
    touched = np.abs(of_logits).max(axis=-1) > 0
    assert touched[labels > 0].all()
    assert touched.sum(axis=1).tolist() == [2 + 6, 0]


def test_saturated_scores_are_finite():
    logits = np.full([1, 4, 3], -1e4, np.float32)
    logits[..., 0] = 1e4
    assert np.isfinite(ScoreLoss()(np.array([[2, 0, 0, 0]]), logits))


def test_each_output_has_its_loss_and_weight():
    names = ("locations", "scores")
    assert [type(loss) for loss in losses(names).values()] == [LocationLoss, ScoreLoss]
    assert loss_weights(names) == {"locations": 1.0, "scores": 1.0}
    weights = get_task("detection").loss_weights(names, attention_weight=0.2)
    assert weights == loss_weights(names)
    again = keras.losses.deserialize(keras.losses.serialize(ScoreLoss(negatives=5)))
    assert again.negatives == 5
