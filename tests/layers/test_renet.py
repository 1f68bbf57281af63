"""ReNet, Fig. 2a."""

import dataclasses
import gc

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.saving.serialization_lib import ObjectSharingScope

from picanet_tf.layers import LSTMOptions, ReNet
from picanet_tf.layers.renet import MAX_UNROLLED_STEPS
from tests.layers.harness import LayerContract, random_input


class TestContract(LayerContract):
    layer_class = ReNet
    arguments = {"units": 3}
    config_defaults = {"lstm_options": {"use_cudnn": "auto", "unroll": False}}
    variable_paths = (
        "columns/backward_lstm/lstm_cell/bias",
        "columns/backward_lstm/lstm_cell/kernel",
        "columns/backward_lstm/lstm_cell/recurrent_kernel",
        "columns/forward_lstm/lstm_cell/bias",
        "columns/forward_lstm/lstm_cell/kernel",
        "columns/forward_lstm/lstm_cell/recurrent_kernel",
        "rows/backward_lstm/lstm_cell/bias",
        "rows/backward_lstm/lstm_cell/kernel",
        "rows/backward_lstm/lstm_cell/recurrent_kernel",
        "rows/forward_lstm/lstm_cell/bias",
        "rows/forward_lstm/lstm_cell/kernel",
        "rows/forward_lstm/lstm_cell/recurrent_kernel",
    )


class TestUnrolledContract(TestContract):
    arguments = {"units": 3, "lstm_options": {"use_cudnn": False, "unroll": True}}


def lstm(inputs, layer):
    """Runs one direction over [steps, channels]; gates in Keras' order i, f, c, o."""
    kernel, recurrent, bias = (w.astype("float64") for w in layer.get_weights())
    units = recurrent.shape[0]
    hidden, cell, outputs = np.zeros(units), np.zeros(units), []
    for step in inputs:
        gates = step @ kernel + hidden @ recurrent + bias
        i, f, c, o = np.split(gates, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(c)
        hidden = sigmoid(o) * np.tanh(cell)
        outputs.append(hidden)
    return np.array(outputs)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def both_directions(sequence, layer):
    forward = lstm(sequence, layer.forward_layer)
    backward = lstm(sequence[::-1], layer.backward_layer)[::-1]
    return np.concatenate([forward, backward], axis=-1)


def naive_renet(inputs, layer):
    rows = np.array(
        [[both_directions(row, layer.rows) for row in image] for image in inputs]
    )
    outputs = np.zeros(rows.shape)
    for image in range(len(rows)):
        for x in range(rows.shape[2]):
            outputs[image, :, x] = both_directions(rows[image, :, x], layer.columns)
    return outputs


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("shape", [(4, 3), (2, 5), (1, 4), (3, 1)])
def test_equals_naive_lstms(shape, unroll):
    contract = TestContract()
    contract.input_shape = (*shape, 2)
    layer = contract.make(lstm_options={"unroll": unroll})
    inputs = contract.batch()
    outputs = layer(inputs)
    assert outputs.shape == (2, *shape, 6)
    np.testing.assert_allclose(outputs, naive_renet(inputs, layer), atol=1e-6)


def gradients(layer, inputs, training):
    """The output, and the gradients of a sum in which every output has its weight."""
    inputs = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=training)
        total = tf.reduce_sum(
            outputs * tf.cast(random_input(*outputs.shape), "float64")
        )
    return [outputs, *tape.gradient(total, [inputs, *layer.trainable_weights])]


def test_training_equals_inference_and_its_gradients():
    layer = TestContract().make(dtype="float64")
    inputs = random_input(2, 4, 5, 3).astype("float64")
    layer.build(inputs.shape)
    unrolled, looped = (
        gradients(layer, inputs, training) for training in (True, False)
    )
    np.testing.assert_allclose(unrolled[0], naive_renet(inputs, layer), atol=1e-12)
    assert len(unrolled) == len(looped) == 14
    for value, expected in zip(unrolled, looped, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-12)


def test_half_precision_sums_and_gates_in_float32():
    """Training is closer to float32 than Keras' loop, which rounds the carry."""
    exact, half = ReNet(16), ReNet(16, dtype="mixed_bfloat16")
    inputs = tf.cast(random_input(2, 12, 12, 8), "bfloat16")
    for layer in (exact, half):
        layer.build(inputs.shape)
    half.set_weights(exact.get_weights())
    expected = exact(tf.cast(inputs, "float32"))
    outputs = [half(inputs, training=training) for training in (True, False)]
    assert all(output.dtype == "bfloat16" for output in outputs)
    unrolled, looped = (
        float(tf.norm(tf.cast(output, "float32") - expected) / tf.norm(expected))
        for output in outputs
    )
    assert unrolled < 0.8 * looped < 0.02


@pytest.mark.parametrize(
    "training, width, loops",
    [(True, 5, False), (False, 5, True), (True, MAX_UNROLLED_STEPS + 1, True)],
)
def test_training_unrolls_short_sweeps(training, width, loops):
    layer = ReNet(2)
    layer.build((None, 3, width, 3))
    graph = tf.function(lambda x: layer(x, training=training)).get_concrete_function(
        tf.TensorSpec([1, 3, width, 3])
    )
    operations = [operation.type for operation in graph.graph.get_operations()]
    assert any("While" in operation for operation in operations) == loops


def test_training_with_maps_of_unknown_width():
    layer = TestContract().make()
    run = tf.function(lambda x: layer(x, training=True))
    features = random_input(1, 4, 2, 3)
    graph = run.get_concrete_function(tf.TensorSpec([1, 4, None, 3]))
    np.testing.assert_allclose(
        graph(tf.constant(features)), naive_renet(features, layer), atol=1e-6
    )


def test_maps_of_unknown_size():
    layer = TestContract().make()
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, None, None, 6)
    features = random_input(1, 4, 2, 3)
    np.testing.assert_allclose(model(features), naive_renet(features, layer), atol=1e-6)


def changed_pixels(function, shape=(1, 4, 5, 3), at=(1, 3)):
    """Finds the output pixels that change with one pixel of the input."""
    inputs = random_input(*shape)
    changed = inputs.copy()
    changed[0, at[0], at[1]] += 1
    return np.any(np.asarray(function(changed) != function(inputs)), axis=-1)[0]


def test_rows_come_first_and_then_every_pixel_depends_on_every_other():
    layer = TestContract().make()
    only_the_row = np.zeros([4, 5], bool)
    only_the_row[1] = True
    np.testing.assert_array_equal(
        changed_pixels(lambda x: layer._run_along_rows(layer.rows, x).numpy()),
        only_the_row,
    )
    assert changed_pixels(lambda x: layer(x).numpy()).all()


def test_initial_weights_are_those_of_the_release():
    keras.utils.set_random_seed(0)
    layer = ReNet(16)
    layer.build((None, 4, 5, 8))
    lstms = [
        direction
        for sweep in (layer.rows, layer.columns)
        for direction in (sweep.forward_layer, sweep.backward_layer)
    ]
    for one in lstms:
        kernel, recurrent, bias = one.get_weights()
        for matrix in (kernel, recurrent):
            assert np.abs(matrix).max() <= 0.2
            assert np.abs(matrix).max() > 0.19
            # A uniform distribution of width 0.4 has deviation 0.4 / sqrt(12).
            assert matrix.std() == pytest.approx(0.1155, rel=0.05)
        np.testing.assert_array_equal(bias.reshape(4, 16)[[0, 2, 3]], 0)
        np.testing.assert_array_equal(bias.reshape(4, 16)[1], 1)  # forget
    # `Bidirectional` copies its layer, but must not copy its seed.
    for sweep in (layer.rows, layer.columns):
        forward, backward = sweep.forward_layer, sweep.backward_layer
        for one, other in zip(forward.get_weights(), backward.get_weights(), strict=1):
            if one.ndim == 2:
                assert not np.array_equal(one, other)
    # No two recurrent matrices are equal; all have the same shape.
    recurrent = [one.get_weights()[1] for one in lstms]
    assert len({matrix.tobytes() for matrix in recurrent}) == 4
    # Nor are a kernel and a recurrent matrix of the same shape within one LSTM.
    kernel, recurrent, _ = _square_lstm()
    assert not np.array_equal(kernel, recurrent)


def _square_lstm():
    layer = ReNet(4)
    layer.build((None, 3, 3, 4))
    return layer.rows.forward_layer.get_weights()


def test_default_is_that_of_the_paper():
    assert ReNet().get_config()["units"] == 256
    assert ReNet().compute_output_shape((None, 28, 28, 1024)) == (None, 28, 28, 512)


@pytest.mark.parametrize("use_cudnn", [False, "auto"])
def test_use_cudnn_reaches_the_lstms(use_cudnn):
    options = LSTMOptions(use_cudnn=use_cudnn)
    layer = ReNet.from_config(ReNet(2, options).get_config())
    for sweep in (layer.rows, layer.columns):
        assert sweep.forward_layer.use_cudnn is use_cudnn
        assert sweep.backward_layer.use_cudnn is use_cudnn


@pytest.mark.parametrize("unroll", [False, True])
def test_unroll_reaches_the_lstms(unroll):
    layer = ReNet(2, LSTMOptions(unroll=unroll))
    for sweep in (layer.rows, layer.columns):
        assert sweep.forward_layer.unroll is unroll
        assert sweep.backward_layer.unroll is unroll


def test_layers_of_a_loaded_model_do_not_share_lstms():
    layers = []
    gc.freeze()  # What there is already would be looked through 30 times.
    try:
        with ObjectSharingScope():  # `keras.models.load_model` opens one.
            for _ in range(30):
                layers.append(ReNet(2))
                gc.collect()  # so that ids of freed layers are given to new ones
    finally:
        gc.unfreeze()
    sweeps = [sweep for layer in layers for sweep in (layer.rows, layer.columns)]
    assert len({id(sweep.forward_layer) for sweep in sweeps}) == 60
    assert len({id(sweep.backward_layer) for sweep in sweeps}) == 60


@pytest.mark.parametrize(
    "passed, expected",
    [
        (None, LSTMOptions("auto", False)),
        ({}, LSTMOptions("auto", False)),
        ({"unroll": True}, LSTMOptions("auto", True)),
        ({"use_cudnn": False}, LSTMOptions(False, False)),
        (LSTMOptions(False, True), LSTMOptions(False, True)),
    ],
)
def test_lstm_options(passed, expected):
    layer = ReNet(2, passed)
    assert layer.lstm_options == expected
    assert layer.get_config()["lstm_options"] == {
        "use_cudnn": expected.use_cudnn,
        "unroll": expected.unroll,
    }


def test_lstm_options_cannot_be_changed():
    # A layer reads them only when it is constructed.
    with pytest.raises(dataclasses.FrozenInstanceError):
        ReNet(2).lstm_options.unroll = True


def test_error_messages():
    for invalid in ({"unrolled": True}, True, "auto"):
        with pytest.raises(ValueError) as raised:
            ReNet(2, invalid)
        assert str(raised.value) == (
            "`lstm_options` must be LSTMOptions, a mapping of ['use_cudnn', 'unroll'], "
            f"or None. Received: lstm_options={invalid!r}"
        )
    unrolled = ReNet(2, {"unroll": True})
    unrolled.build((None, 4, 5, 3))
    unknown_width = tf.TensorSpec([1, 4, None, 3])
    with pytest.raises(ValueError, match="static height and width"):
        tf.function(unrolled).get_concrete_function(unknown_width)
