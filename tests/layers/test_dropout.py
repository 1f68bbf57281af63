"""Dropout equals Keras' on one device, and differs between replicas."""

import keras
import numpy as np

from picanet_tf.layers.dropout import Dropout
from tests import commands


def test_one_device_draws_the_masks_of_keras():
    ours, theirs = Dropout(0.5, seed=3), keras.layers.Dropout(0.5, seed=3)
    images = np.ones([2, 4, 4, 3], np.float32)
    for _ in range(3):
        drawn = ours(images, training=True)
        np.testing.assert_array_equal(drawn, theirs(images, training=True))
        assert 0 < np.mean(drawn == 0) < 1
    np.testing.assert_array_equal(ours(images, training=False), images)
    assert len(ours.variables) == len(theirs.variables) == 1
    copy = Dropout.from_config(ours.get_config())
    assert (copy.rate, copy.seed) == (0.5, 3)
    assert Dropout(0.0).variables == []


REPLICAS = """
import numpy as np, tensorflow as tf
from picanet_tf.layers.dropout import Dropout

cpu = tf.config.list_physical_devices("CPU")[0]
halves = [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
tf.config.set_logical_device_configuration(cpu, halves)
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

def masks(strategy):
    with strategy.scope():
        layer = Dropout(0.5, seed=3)
    draw = lambda: layer(tf.ones([64]), training=True)
    step = tf.function(lambda: strategy.run(draw))
    for _ in range(2):
        yield [np.array(m) for m in strategy.experimental_local_results(step())]

alone = list(masks(tf.distribute.get_strategy()))
for (one,), (first, second) in zip(alone, masks(mirrored), strict=True):
    np.testing.assert_array_equal(one, first)
    assert 10 < np.sum(first != second) < 54, (first, second)
    assert 16 < np.sum(second == 0) < 48, second
print("differ")
"""


def test_replicas_draw_different_masks():
    """In a subprocess, since logical devices must be set up before anything else."""
    run = commands.call("-c", REPLICAS, timeout=120)
    assert run.stdout.strip() == "differ", run.stderr[-2000:]
