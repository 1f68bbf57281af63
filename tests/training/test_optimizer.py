import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.training import optimizer as optimizers


def test_caffe_sgd_equals_its_definition():
    """V = m V + lr (g + l2 w); w -= V, in NumPy."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=5)
    variable = keras.Variable(weight, dtype="float64")
    optimizer = optimizers.CaffeSGD(0.1, momentum=0.9, l2=0.05)
    velocity = np.zeros(5)
    for _ in range(4):
        gradient = rng.normal(size=5)
        optimizer.apply([tf.constant(gradient)], [variable])
        velocity = 0.9 * velocity + 0.1 * (gradient + 0.05 * weight)
        weight = weight - velocity
    np.testing.assert_allclose(variable.numpy(), weight, rtol=1e-6)


@pytest.fixture(scope="module")
def paths(tiny_network):
    return [variable.path for variable in tiny_network("6GAP_5AC").trainable_variables]


def test_every_variable_has_its_group(paths):
    groups = optimizers.make_groups(["block1_conv1", "fc6"], 0.1, 0.0005)
    assigned = optimizers.assign(paths, groups)
    assert list(assigned) == paths

    def rate_and_decay(path):
        return assigned[path].rate, assigned[path].decay

    assert rate_and_decay("block1_conv1/kernel") == (0.1, 0.0005)
    assert rate_and_decay("block1_conv1/bias") == (0.2, 0.0)
    # Encoder layers without pretrained weights train as the decoder does.
    assert rate_and_decay("fc7/kernel") == (1.0, 0.0005)
    assert rate_and_decay("block1_conv2/bias") == (2.0, 0.0)
    assert rate_and_decay("d5_ac/kernel") == (1.0, 0.0005)
    assert rate_and_decay("d5_ac/attention/conv/bias") == (2.0, 0.0)
    # Gammas decay, betas count as biases.
    assert rate_and_decay("d6_gap/norm/gamma") == (1.0, 0.0005)
    assert rate_and_decay("d6_gap/norm/beta") == (2.0, 0.0)
    lstm = "d6_gap/renet/rows/forward_lstm/lstm_cell"
    assert rate_and_decay(f"{lstm}/recurrent_kernel") == (1.0, 0.0005)
    assert rate_and_decay(f"{lstm}/bias") == (2.0, 0.0)


def test_unmatched_groups_and_variables_are_errors(paths):
    with pytest.raises(ValueError, match="groups encoder biases, encoder"):
        optimizers.assign(paths, optimizers.make_groups(["block9_conv1"], 0.1, 0.0))
    only_biases = [optimizers.Group("biases", "/bias$", 2.0, 0.0)]
    with pytest.raises(ValueError, match="matches the variable block1_conv1/kernel"):
        optimizers.assign(paths, only_biases)


def test_a_network_may_have_no_biases():
    groups = optimizers.make_groups([], 0.1, 0.0005)
    assigned = optimizers.assign(["see/kernel", "norm/gamma"], groups)
    assert {group.name for group in assigned.values()} == {"decoder"}


def updates(count, **schedule):
    """What a kernel and a bias lose in each of the first steps of gradient 1."""
    variables = [keras.Variable([1.0], name=name) for name in ("kernel", "bias")]
    for variable in variables:
        variable._path = f"layer/{variable.name}"
    assigned = optimizers.assign(
        ["layer/kernel", "layer/bias"], optimizers.make_groups([], 0.1, 0.0)
    )
    optimizer = optimizers.make_optimizer(
        assigned,
        learning_rate=0.5,
        momentum=0.0,
        schedule=optimizers.Schedule(**schedule),
    )
    optimizer.build(variables)
    steps = []
    for _ in range(count):
        before = [variable.numpy()[0] for variable in variables]
        optimizer.apply([tf.ones([1]), tf.ones([1])], variables)
        after = [variable.numpy()[0] for variable in variables]
        steps.append(np.subtract(before, after))
    return steps


def test_rates_fall_at_the_boundaries():
    """0-based steps: Caffe divides from step 20,000 on, the 20,001st update."""
    steps = updates(4, boundaries=[2, 3])
    expected = np.outer([0.5, 0.5, 0.05, 0.005], [1, 2])
    np.testing.assert_allclose(steps, expected, rtol=1e-4)


def test_rates_rise_while_they_warm_up():
    steps = updates(6, warmup_steps=4)
    expected = np.outer([0.125, 0.25, 0.375, 0.5, 0.5, 0.5], [1, 2])
    np.testing.assert_allclose(steps, expected, rtol=1e-4)
    steps = updates(3, warmup_steps=2, boundaries=[1])
    expected = np.outer([0.25, 0.05, 0.05], [1, 2])
    np.testing.assert_allclose(steps, expected, rtol=1e-4)
    steps = updates(2, kind="poly", warmup_steps=2, steps=4)
    expected = np.outer([0.25, 0.5 * 0.75**0.9], [1, 2])
    np.testing.assert_allclose(steps, expected, rtol=1e-4)


def test_rates_fall_along_half_a_cosine():
    steps = updates(5, kind="cosine", steps=4)
    expected = np.outer(0.25 * (1 + np.cos(np.pi * np.arange(5) / 4)), [1, 2])
    np.testing.assert_allclose(steps, expected, rtol=1e-4, atol=1e-7)


def test_rates_fall_linearly_at_the_end():
    steps = updates(6, kind="linear", steps=5, linear_share=0.6)
    expected = np.outer([0.5, 0.5, 0.5, 0.5 * 2 / 3, 0.5 / 3, 0], [1, 2])
    np.testing.assert_allclose(steps, expected, rtol=1e-4, atol=1e-7)


def test_rates_may_stay_as_they_are():
    steps = updates(4, kind="constant", steps=2, warmup_steps=2)
    expected = np.outer([0.25, 0.5, 0.5, 0.5], [1, 2])
    np.testing.assert_allclose(steps, expected, rtol=1e-4)


def test_linear_fall_survives_serialization():
    rate = optimizers.ConstantThenLinear(0.5, 10, 0.4)
    config = keras.saving.serialize_keras_object(rate)
    again = keras.saving.deserialize_keras_object(config)
    values = [float(again(step)) for step in (0, 6, 7, 8, 10, 12)]
    assert values == pytest.approx([0.5, 0.5, 0.375, 0.25, 0, 0])


def test_adamw_equals_its_definition():
    """Loshchilov and Hutter, Alg. 2, in NumPy; biases twice as fast, without decay."""
    rng = np.random.default_rng(0)
    values = {"layer/kernel": rng.normal(size=5), "layer/bias": rng.normal(size=5)}
    variables = [keras.Variable(value, dtype="float64") for value in values.values()]
    for variable, path in zip(variables, values, strict=True):
        variable._path = path
    groups = optimizers.make_groups([], 0.1, 0.3)
    optimizer = optimizers.make_optimizer(
        optimizers.assign(list(values), groups),
        learning_rate=0.01,
        kind="adamw",
        momentum=0.8,
        beta_2=0.95,
    )
    optimizer.build(variables)
    first, second = np.zeros([2, 5]), np.zeros([2, 5])
    expected, rates = np.stack(list(values.values())), np.array([[0.01], [0.02]])
    decays = np.array([[0.3], [0.0]])
    for step in range(1, 5):
        gradients = rng.normal(size=[2, 5])
        optimizer.apply([tf.constant(gradient) for gradient in gradients], variables)
        first = 0.8 * first + 0.2 * gradients
        second = 0.95 * second + 0.05 * gradients**2
        update = (first / (1 - 0.8**step)) / np.sqrt(second / (1 - 0.95**step))
        expected -= rates * (decays * expected + update)
    np.testing.assert_allclose([v.numpy() for v in variables], expected, rtol=1e-4)


def test_warm_up_survives_serialization():
    fall = keras.optimizers.schedules.PolynomialDecay(0.5, 10, 0.0)
    rate = optimizers.Warmup(fall, 4)
    config = keras.saving.serialize_keras_object(rate)
    again = keras.saving.deserialize_keras_object(config)
    values = [[float(one(step)) for step in range(6)] for one in (rate, again)]
    assert values[0] == values[1]
    assert values[0] == pytest.approx([0.125, 0.225, 0.3, 0.35, 0.3, 0.25])
