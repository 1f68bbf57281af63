"""Our optimizer against the MultiOptimizer of tensorflow-addons.

The same start and gradients; the recipe is spelled out here once more.
"""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_addons as tfa

STEPS = 50
# Of weights of about 1 in float32, whose rounding is 6e-8 a step.
TOLERANCE = 2e-6


@pytest.fixture(scope="module")
def recorded():
    """{"start" or "gradients" or "end": {variable's path: array}}"""
    tree = {"start": {}, "gradients": {}, "end": {}}
    with np.load(pathlib.Path("build/tf215/training.npz")) as arrays:
        for key in arrays:
            part, path = key.split("/", maxsplit=1)
            tree[part][path] = arrays[key]
    return tree


class OneWeight(tf.keras.layers.Layer):
    """The addons form groups of layers; ours separate biases from kernels."""

    def __init__(self, path, value):
        super().__init__()
        self.path = path
        self.weight = tf.Variable(value, name=path)

    @property
    def in_encoder(self):
        return self.path.startswith("block")

    @property
    def is_bias(self):
        return self.path.endswith(("/bias", "/beta"))


class Steps(tf.keras.optimizers.schedules.LearningRateSchedule):
    """Caffe's `multistep`: a tenth from each boundary on, counted from 0."""

    def __init__(self, rate, boundaries):
        self.rate = rate
        self.boundaries = boundaries

    def __call__(self, step):
        passed = [tf.cast(step >= boundary, tf.float32) for boundary in self.boundaries]
        return self.rate * 0.1 ** tf.add_n(passed)


def trained_by_addons(
    recorded, ratio=0.1, bias_rate=2, decay=5e-4, momentum=0.9, boundaries=(20, 40)
):
    layers = [OneWeight(path, value) for path, value in recorded["start"].items()]
    groups = {}
    for layer in layers:
        rate = 0.01 * (ratio if layer.in_encoder else 1)
        rate *= bias_rate if layer.is_bias else 1
        groups.setdefault(rate, []).append(layer)
    optimizer = tfa.optimizers.MultiOptimizer(
        [
            (
                tf.keras.optimizers.legacy.SGD(Steps(rate, boundaries), momentum),
                members,
            )
            for rate, members in groups.items()
        ]
    )
    for step in range(STEPS):
        pairs = []
        for layer in layers:
            gradient = recorded["gradients"][layer.path][step]
            if not layer.is_bias:
                gradient = gradient + decay * layer.weight
            pairs.append((gradient, layer.weight))
        optimizer.apply_gradients(pairs)
    return {layer.path: layer.weight.numpy() for layer in layers}


def largest_difference(ours, theirs):
    assert set(ours) == set(theirs)
    return max(np.abs(ours[path] - theirs[path]).max() for path in ours)


def test_training_equals_tensorflow_addons(recorded):
    theirs = trained_by_addons(recorded)
    difference = largest_difference(recorded["end"], theirs)
    print(f"After {STEPS} steps {len(theirs)} weights differ by {difference:.1e}")
    assert difference <= TOLERANCE


@pytest.mark.parametrize(
    "mistake",
    [
        {"ratio": 0.11},
        {"bias_rate": 1},
        {"decay": 0.0},
        {"momentum": 0.89},
        {"boundaries": (20, 41)},
    ],
    ids=str,
)
def test_other_recipes_give_other_weights(mistake, recorded):
    theirs = trained_by_addons(recorded, **mistake)
    assert largest_difference(recorded["end"], theirs) > 100 * TOLERANCE
