"""Batch normalization with bias-corrected moving averages."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.layers import BatchNormalization
from tests import commands
from tests.layers.harness import LayerContract, random_input


class TestContract(LayerContract):
    layer_class = BatchNormalization
    arguments = {"momentum": 0.9, "epsilon": 1e-3, "synchronized": False}
    variable_paths = (
        "beta",
        "collected_weight",
        "gamma",
        "moving_mean",
        "moving_variance",
    )


def batches(count, shape=(4, 3, 3, 2)):
    """Makes batches of different means and deviations, so that their order matters."""
    return [
        (random_input(*shape, seed=t) * (1 + t) + 3 * t).astype("float32")
        for t in range(count)
    ]


@pytest.mark.parametrize("momentum", [0.5, 0.99])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_averages_are_divided_by_the_collected_weight(steps, momentum):
    layer = BatchNormalization(momentum=momentum)
    for batch in batches(steps):
        layer(batch, training=True)
    # sum_i m^(t-i) x_i / sum_i m^(t-i)
    weights = momentum ** np.arange(steps - 1, -1, -1, dtype="float64")
    means = np.array([b.mean((0, 1, 2), "float64") for b in batches(steps)])
    variances = np.array([b.var((0, 1, 2), "float64") for b in batches(steps)])
    for average, values in [
        (layer.moving_mean, means),
        (layer.moving_variance, variances),
    ]:
        expected = (weights[:, None] * values).sum(0) / weights.sum()
        np.testing.assert_allclose(average, expected, rtol=1e-5, atol=1e-6)
    assert float(layer.collected_weight) == pytest.approx(weights.sum(), rel=1e-6)


def test_equals_a_calculation_by_hand():
    """Two batches of one channel: means 2 and 5, m = 0.5, so (0.5 * 2 + 5) / 1.5."""
    layer = BatchNormalization(momentum=0.5)
    layer(np.array([[1], [3]], "float32"), training=True)
    assert float(layer.moving_mean[0]) == 2
    assert float(layer.moving_variance[0]) == 1
    layer(np.array([[2], [8]], "float32"), training=True)
    assert float(layer.moving_mean[0]) == pytest.approx(4)
    assert float(layer.moving_variance[0]) == pytest.approx((0.5 * 1 + 9) / 1.5)


def test_normalizes_scales_and_shifts():
    layer, inputs = BatchNormalization(), batches(3)[2]
    layer.build(inputs.shape)
    layer.gamma.assign([2.0, 0.5])
    layer.beta.assign([1.0, -1.0])
    mean, variance = inputs.mean((0, 1, 2)), inputs.var((0, 1, 2))
    expected = (inputs - mean) / np.sqrt(variance + 1e-5) * [2, 0.5] + [1, -1]
    np.testing.assert_allclose(layer(inputs, training=True), expected, atol=1e-5)
    # After one step the averages are the batch's own statistics.
    np.testing.assert_allclose(layer(inputs, training=False), expected, atol=1e-5)


def test_plain_momentum_does_not_hold_after_one_step():
    """The reason for this layer: Keras' own still has 99% of its initial values."""
    plain, inputs = keras.layers.BatchNormalization(epsilon=1e-5), batches(3)[2]
    in_training = plain(inputs, training=True).numpy()
    assert np.abs(plain(inputs, training=False) - in_training).max() > 3


def test_inference_changes_nothing():
    layer = TestContract().make()
    before = [weight.numpy() for weight in layer.weights]
    inputs = TestContract().batch()
    for training in (False, None):
        layer(inputs, training=training)
    for weight, value in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_a_frozen_layer_uses_and_keeps_its_averages():
    layer = TestContract().make()
    inputs = TestContract().batch()
    before = [weight.numpy() for weight in layer.weights]
    inference = layer(inputs, training=False)
    layer.trainable = False
    np.testing.assert_array_equal(layer(inputs, training=True), inference)
    for weight, value in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize("synchronized", [False, True])
def test_variance_of_a_channel_far_from_zero(synchronized):
    """E[x^2] - E[x]^2 in float32 would give 0.0 or 0.5."""
    inputs = 1000 + 0.1 * random_input(2, 28, 28, 4)
    layer = BatchNormalization(synchronized=synchronized)
    layer(inputs, training=True)
    np.testing.assert_allclose(layer.moving_variance, 0.01, rtol=0.1)


def test_statistics_of_half_precision_are_float32():
    layer = BatchNormalization(dtype="mixed_float16")
    inputs = np.full([2, 28, 28, 1], 500, "float16")
    outputs = layer(inputs, training=True)
    assert outputs.dtype == "float16"
    np.testing.assert_array_equal(outputs, 0)
    np.testing.assert_array_equal(layer.moving_mean, 500)


@pytest.mark.parametrize("shape", [(4, 3, 3, 2), (6, 2)])
def test_half_precision_variables_are_used_in_float32(shape):
    """As those of `keras.layers.BatchNormalization` are."""
    inputs = random_input(*shape).astype("float16")
    layer, exact = (BatchNormalization(dtype=d) for d in ("float16", "float32"))
    for training in (True, False):
        outputs = layer(inputs, training=training)
        wanted = exact(inputs.astype("float32"), training=training)
        assert outputs.dtype == layer.gamma.dtype == "float16"
        np.testing.assert_allclose(outputs, wanted, atol=3e-3)
    np.testing.assert_allclose(layer.moving_mean, exact.moving_mean, atol=1e-3)


@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_is_rounded_once(training):
    """Bit for bit the float32 layer's outputs, gradients and averages, rounded."""
    inputs = tf.cast(random_input(2, 9, 7, 3) * [1, 30, 0.1] + [500, 0, 1], "bfloat16")
    layer, exact = (BatchNormalization(dtype=d) for d in ("mixed_bfloat16", "float32"))
    results = []
    for each, x in ((layer, inputs), (exact, tf.cast(inputs, "float32"))):
        each.build(x.shape)
        each.gamma.assign([0.5, 1.5, 2])
        each.beta.assign([-1, 0, 3])
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = each(x, training=training)
            weights = tf.cast(random_input(*x.shape, seed=1), "bfloat16")
            total = tf.reduce_sum(outputs * tf.cast(weights, outputs.dtype))
        slopes = tape.gradient(total, [x, each.gamma.value, each.beta.value])
        averages = [each.moving_mean, each.moving_variance]
        results.append([outputs, *slopes, *averages])
    for value, expected in zip(*results, strict=True):
        expected = tf.cast(expected, value.dtype)
        np.testing.assert_allclose(
            np.float64(value), np.float64(expected), rtol=1e-5, atol=1e-5
        )
    assert [value.dtype.name for value in results[0][:4]] == [
        *["bfloat16"] * 2,
        *["float32"] * 2,
    ]


def test_bfloat16_is_not_cast():
    layer = BatchNormalization(dtype="mixed_bfloat16")
    layer.build((None, 4, 4, 3))
    graph = tf.function(lambda x: layer(x, training=True)).get_concrete_function(
        tf.TensorSpec([2, 4, 4, 3], tf.bfloat16)
    )
    (norm,) = (o for o in graph.graph.get_operations() if o.type == "FusedBatchNormV3")
    assert [norm.inputs[i].dtype for i in (0, 1)] == [tf.bfloat16, tf.float32]
    assert norm.inputs[0].op.type == "Placeholder"


def test_double_precision():
    layer, inputs = BatchNormalization(dtype="float64"), random_input(4, 3).astype("f8")
    outputs = layer(inputs, training=True)
    assert outputs.dtype == layer.moving_mean.dtype == "float64"
    np.testing.assert_allclose(layer.moving_mean, inputs.mean(0), atol=1e-12)


def test_config_has_no_options_of_renorm():
    config = BatchNormalization().get_config()
    assert not [name for name in config if name.startswith("renorm")]


def test_error_messages():
    with pytest.raises(ValueError, match="`renorm` is not supported"):
        BatchNormalization(renorm=True)


TWO_REPLICAS = """
import keras, numpy as np, tensorflow as tf
from picanet_tf.layers import BatchNormalization

cpu = tf.config.list_physical_devices("CPU")[0]
halves = [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
tf.config.set_logical_device_configuration(cpu, halves)

def train(strategy):
    with strategy.scope():
        layer = BatchNormalization(momentum=0.9)
        layer.build((None, 2, 3))

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=True)
            loss = tf.reduce_sum(outputs * tf.constant([[1.0, -2, 3], [0, 1, 0]]) ** 3)
            loss += tf.reduce_sum(outputs ** 3)
        return outputs, tape.gradient(loss, x)

    rng = np.random.default_rng(0)
    results = []
    for number in range(3):
        batch = rng.normal(size=(8, 2, 3)) * (1 + number) + [0, 1000, number]
        parts = np.split(batch.astype("float32"), strategy.num_replicas_in_sync)
        per_replica = strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )
        for values in strategy.run(step, args=(per_replica,)):
            results.append(np.concatenate(strategy.experimental_local_results(values)))
    return [np.array(weight) for weight in layer.weights] + results

mirrored = tf.distribute.MirroredStrategy(
    ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
)
assert mirrored.num_replicas_in_sync == 2
one, two = train(tf.distribute.get_strategy()), train(mirrored)
moving_mean, gradient = one[2], one[-1]
assert moving_mean[1] > 999, moving_mean
assert np.abs(gradient).max() > 0.1, gradient
for a, b in zip(one, two, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-3, rtol=1e-4)
print("equal")
"""


def test_two_replicas_train_as_one():
    """In a subprocess, since logical devices must be set up before anything else."""
    run = commands.call("-c", TWO_REPLICAS, timeout=120)
    assert run.stdout.strip() == "equal", run.stderr[-2000:]
