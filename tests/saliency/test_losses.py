"""The losses of Sec. 4.3."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.saliency.losses import (
    ATTENTION_WEIGHT,
    STAGE_WEIGHTS,
    AttentionLoss,
    loss_weights,
    losses,
)

OUTPUTS = [*(f"stage{i}" for i in (6, 5, 4, 3, 2, 1)), "attention6"]


def test_weights_are_the_papers():
    assert loss_weights(OUTPUTS) == {
        "stage6": 0.5,
        "stage5": 0.5,
        "stage4": 0.5,
        "stage3": 0.8,
        "stage2": 0.8,
        "stage1": 1.0,
        "attention6": 0.2,
    }
    assert list(STAGE_WEIGHTS) == OUTPUTS[:6]
    assert ATTENTION_WEIGHT == 0.2


def test_weights_of_the_named_outputs_only():
    assert loss_weights(["stage1"]) == {"stage1": 1.0}
    without = loss_weights(["stage2", "attention6"], attention_weight=0.0)
    assert without == {"stage2": 0.8, "attention6": 0.0}


def test_each_output_has_its_loss():
    named = losses(OUTPUTS)
    assert list(named) == OUTPUTS
    assert isinstance(named["attention6"], AttentionLoss)
    target = np.array([[[[1.0], [0.0]]]], "float32")
    logits = np.array([[[[2.0], [-30.0]]]], "float32")
    # -log sigmoid(2) = log(1 + e^-2), and log(1 + e^-30) is nothing.
    expected = np.log1p(np.exp(-2)) / 2
    for name in OUTPUTS[:6]:
        assert float(named[name](target, logits)) == pytest.approx(expected, rel=1e-5)


def test_stage_loss_is_on_logits():
    """On probabilities an error of 30 would count 16, and 100 the same."""
    loss = losses(["stage1"])["stage1"]
    for logit in (30.0, 100.0):
        value = loss(np.zeros([1, 1, 1, 1]), np.full([1, 1, 1, 1], logit))
        assert float(value) == pytest.approx(logit, rel=1e-5)


def kl(target, attention):
    """KL(A || alpha) a pixel at a time, 0 log 0 = 0, as the mean over the pixels."""
    total, pixels = 0.0, 0
    for image, image_attention in zip(target, attention, strict=True):
        for y, x in np.ndindex(*image.shape[:2]):
            pixels += 1
            for a, alpha in zip(image[y, x], image_attention[y, x], strict=True):
                if a > 0:
                    total += a * np.log(a / alpha)
    return total / pixels


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def test_attention_loss_equals_kl():
    rng = np.random.default_rng(0)
    target = rng.uniform(size=(2, 3, 4, 9)) * (rng.uniform(size=(2, 3, 4, 9)) > 0.5)
    target /= target.sum(-1, keepdims=True)
    target[1, 2, 3] = 0  # a pixel without a target counts 0, and in the mean
    assert (target == 0).mean() > 0.3
    attention = softmax(rng.normal(size=(2, 3, 4, 9)))
    loss = AttentionLoss()(target.astype("float32"), attention.astype("float32"))
    assert float(loss) == pytest.approx(kl(target, attention), rel=1e-5)


def test_attention_loss_by_hand():
    target = np.array([[[[0.5, 0.5, 0.0, 0.0]]]], "float32")
    loss = AttentionLoss()
    uniform = np.full([1, 1, 1, 4], 0.25, "float32")
    assert float(loss(target, uniform)) == pytest.approx(np.log(2), rel=1e-6)
    assert float(loss(target, target)) == pytest.approx(0, abs=1e-6)
    assert float(loss(np.zeros_like(target), uniform)) == 0


def test_attention_loss_is_finite_where_the_attention_vanishes():
    target = tf.constant([[[[0.5, 0.5, 0.0]], [[0.0, 0.0, 0.0]]]])
    logits = tf.Variable([[[[200.0, -200.0, 0.0]], [[0.0, -200.0, 200.0]]]])
    with tf.GradientTape() as tape:
        attention = tf.nn.softmax(logits)
        loss = AttentionLoss()(target, attention)
    assert attention[0, 0, 0, 1] == 0
    assert np.isfinite(loss)
    assert float(loss) > 1
    gradient = tape.gradient(loss, logits).numpy()
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[0, 1], 0)


def test_attention_loss_serializes():
    loss = AttentionLoss(name="its_name")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(again, AttentionLoss)
    assert again.get_config() == loss.get_config()
