"""The ablations of a trained network."""

import keras
import numpy as np
import tensorflow as tf

from benchmarks.ablations import renew_statistics
from picanet_tf.saliency import build_model


def test_statistics_are_those_without_dropout():
    keras.utils.set_random_seed(0)
    networks = [
        build_model("UNet", 32, width=1 / 32, dropout=rate) for rate in (0.5, 0.0)
    ]
    networks[1].set_weights(networks[0].get_weights())
    before = {v.path: v.numpy() for v in networks[0].weights}
    images = [tf.random.uniform([2, 32, 32, 3], 0, 255) for _ in range(2)]
    for network in networks:
        renew_statistics(network, images)
    changed = set()
    for ours, expected in zip(*(each.weights for each in networks), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
        if not np.array_equal(ours, before[ours.path]):
            changed.add(ours.path.split("/")[-1])
    assert changed == {"moving_mean", "moving_variance", "collected_weight"}
