"""Loss, targets and mean IoU, each against an independent computation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.core.errors import PicanetError
from picanet_tf.evaluation.samples import Sample
from picanet_tf.segmentation import reports
from picanet_tf.segmentation.evaluation import background, evaluate
from picanet_tf.segmentation.losses import SegmentationLoss, loss_weights, losses
from picanet_tf.segmentation.metrics import SegmentationMetrics
from picanet_tf.segmentation.targets import encode_targets, shrink, stride_of
from picanet_tf.segmentation.validation import SegmentationValidation, panel


def naive_loss(classes, logits):
    found = []
    for k, row in zip(
        classes.ravel(), logits.reshape(-1, logits.shape[-1]), strict=True
    ):
        if k != 255:
            row = row - row.max()
            found.append(np.log(np.exp(row).sum()) - row[k])
    return np.mean(found) if found else 0.0


def test_loss_ignores_pixels_without_a_class():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 21, (2, 5, 6))
    classes[0, :4] = 255  # one image counts less than the other
    logits = rng.normal(0, 3, (2, 5, 6, 21)).astype(np.float32)
    loss = SegmentationLoss()
    assert float(loss(classes, logits)) == pytest.approx(naive_loss(classes, logits))
    nothing = np.full_like(classes, 255)
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        value = loss(nothing, variable)
    assert float(value) == 0.0
    assert np.abs(tape.gradient(value, variable)).max() == 0
    with tf.GradientTape() as tape:
        value = loss(classes, variable)
    gradient = tape.gradient(value, variable).numpy()
    assert np.abs(gradient[classes == 255]).max() == 0
    assert (np.abs(gradient[classes != 255]).max(-1) > 0).all()
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.ignore == 255


def test_every_output_has_loss_and_weight():
    names = ["stage6", "stage5", "stage4", "stage3"]
    assert loss_weights(names) == dict(zip(names, (0.5, 0.5, 0.5, 0.8), strict=True))
    assert loss_weights(["logits"]) == {"logits": 1.0}
    assert set(losses(names)) == set(names)


@pytest.mark.parametrize("side, size, stride", [(321, 41, 8), (384, 96, 4), (17, 3, 8)])
def test_targets_are_the_classes_at_the_middles(side, size, stride):
    assert stride_of(side, size) == stride
    rows, columns = np.mgrid[:side, :side]
    for index in rows, columns:
        classes = (index % 251).astype(np.uint8)[np.newaxis, ..., np.newaxis]
        small = shrink(tf.constant(classes), size).numpy()[0]
        middles = np.minimum(np.arange(size) * stride + stride // 2, side - 1) % 251
        along = small[:, 0] if index is rows else small[0]
        assert along.tolist() == middles.tolist()
    outputs = {"logits": np.zeros([1, size, size, 21]), "attention6": None}
    targets = encode_targets(tf.constant(classes), outputs)
    assert list(targets) == ["logits"] and targets["logits"].dtype == tf.int32


def naive_iou(predicted, truth):
    """By sets of pixels, class by class."""
    found = {}
    for k in range(21):
        p, t = (predicted == k) & (truth != 255), truth == k
        if (p | t).any():
            found[k] = (p & t).sum() / (p | t).sum()
    return found


@pytest.fixture
def maps():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 12, (6, 20, 30)).astype(np.uint8)
    predicted = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(3, 15))
    truth[rng.random(truth.shape) < 0.1] = 255
    predicted = np.where(truth == 255, 7, predicted).astype(np.uint8)
    return predicted, truth


def test_mean_iou_over_the_whole_set(maps):
    predicted, truth = maps
    metrics = SegmentationMetrics()
    metrics.update(predicted[:4], truth[:4])
    for one, other in zip(predicted[4:], truth[4:], strict=True):
        metrics.update(one, other)
    scores, wanted = metrics.result(), naive_iou(predicted, truth)
    assert scores.mean_iou == pytest.approx(np.mean(list(wanted.values())), abs=1e-6)
    assert 0.3 < scores.mean_iou < 0.9 and scores.images == 6
    for k, iou in enumerate(scores.iou):
        assert iou == pytest.approx(wanted[k]) if k in wanted else np.isnan(iou)
    counts = truth != 255
    accuracy = (predicted == truth)[counts].mean()
    assert scores.pixel_accuracy == pytest.approx(accuracy)
    assert scores.confusion.sum() == counts.sum()
    assert scores.confusion[3, 3] == ((predicted == 3) & (truth == 3)).sum()


def test_sklearn_agrees(maps):
    library = pytest.importorskip("sklearn.metrics")
    predicted, truth = maps
    metrics = SegmentationMetrics()
    metrics.update(predicted, truth)
    counts = truth != 255
    each = library.jaccard_score(
        truth[counts], predicted[counts], average=None, zero_division=0
    )
    iou = metrics.result().iou
    np.testing.assert_allclose(iou[~np.isnan(iou)], each, rtol=1e-12)
    matrix = library.confusion_matrix(
        truth[counts], predicted[counts], labels=range(21)
    )
    np.testing.assert_array_equal(metrics.result().confusion, matrix)


def test_invalid_maps_are_rejected():
    metrics = SegmentationMetrics()
    shapes = r"equal shapes. Received: \(2, 3\) and \(2, 2\)"
    with pytest.raises(ValueError, match=shapes):
        metrics.update(np.zeros([2, 3], np.uint8), np.zeros([2, 2], np.uint8))
    with pytest.raises(ValueError, match="`predicted` has the class 255"):
        metrics.update(np.full([2, 2], 255, np.uint8), np.zeros([2, 2], np.uint8))
    with pytest.raises(ValueError, match="`predicted` has the class -1; classes are"):
        metrics.update(np.full([2, 2], -1), np.zeros([2, 2], np.uint8))
    with pytest.raises(ValueError, match="`truth` has the class 21; classes are 0..20"):
        metrics.update(np.zeros([2, 2], np.uint8), np.full([2, 2], 21, np.uint8))
    with pytest.raises(PicanetError, match="no images to score"):
        evaluate([])
    sample = Sample("cat", np.zeros([2, 2], np.uint8))
    with pytest.raises(PicanetError, match="^cat: Prediction and truth"):
        evaluate([(sample, np.zeros([3, 2], np.uint8))])


def test_background_baseline_is_scored():
    truth = np.zeros([10, 10], np.uint8)
    truth[:4], truth[4] = 3, 255
    sample = Sample("bird", truth, np.zeros([10, 10, 3], np.uint8))
    found = evaluate([(sample, background(truth))], pick={0})
    # 50 of 90 pixels are background, bird has none: (50 / 90 + 0) / 2.
    assert found.scores.mean_iou == pytest.approx(50 / 180, abs=1e-6)
    assert found.rows == (("bird", pytest.approx(50 / 90)),)
    assert found.picked[0].truth[0, 0].tolist() == [128, 128, 0]
    text = dict(reports.texts(found))["confusion.csv"].splitlines()
    assert text[4].split(",")[:3] == ["bird", "40", "0"]


def test_validation_scores_the_finest_output_at_the_images_size():
    classes = np.zeros([1, 16, 16, 1], np.uint8)
    classes[:, :8] = 4
    logits = np.zeros([1, 2, 2, 21], np.float32)
    logits[:, 0, :, 4], logits[:, 1, :, 0] = 1, 1
    validation = SegmentationValidation()
    validation.update({"logits": logits}, classes)
    assert validation.result() == {"mean_iou": 1.0, "pixel_accuracy": 1.0}
    picture = panel(np.full([16, 16, 3], 9.0), classes[0], {"logits": logits[0]})
    assert picture.shape == (16, 48, 3) and picture.dtype == np.uint8
    assert picture[0, 16].tolist() == picture[0, 32].tolist() == [0, 0, 128]
    assert (validation.images, validation.without_object) == (1, 0)


def test_validation_without_any_class_has_no_score():
    """A score of 0 would be the best one of such a validation set."""
    logits = {"logits": np.zeros([2, 2, 2, 21], np.float32)}
    validation = SegmentationValidation()
    validation.update(logits, np.full([2, 16, 16, 1], 255, np.uint8))
    name, value = validation.criterion(validation.result())
    assert name == "mean_iou" and np.isnan(value)
    assert (validation.images, validation.without_object) == (2, 2)
    background = np.zeros([2, 16, 16, 1], np.uint8)
    background[0, 0, 0] = 20
    validation.update(logits, background)  # Only background is predicted.
    assert validation.result()["mean_iou"] == pytest.approx(511 / 512 / 2)
    assert (validation.images, validation.without_object) == (4, 3)
