"""ReNet, Fig. 2a."""

import keras
import numpy as np
import pytest
from keras.src.saving.serialization_lib import ObjectSharingScope

from picanet_tf.layers import ReNet
from tests.layers.harness import LayerContract, random_input


class TestContract(LayerContract):
    layer_class = ReNet
    arguments = {"units": 3}


class TestUnrolledContract(TestContract):
    arguments = {"units": 3, "unroll": True, "use_cudnn": False}


def lstm(inputs, layer):
    """One direction of an LSTM over [steps, channels]; gates in Keras' order ifco."""
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


def both_directions(line, sweep):
    forward = lstm(line, sweep.forward_layer)
    backward = lstm(line[::-1], sweep.backward_layer)[::-1]
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
def test_equals_an_lstm_by_hand(shape, unroll):
    contract = TestContract()
    contract.input_shape = (*shape, 2)
    layer, inputs = contract.make(unroll=unroll), contract.batch()
    outputs = layer(inputs)
    assert outputs.shape == (2, *shape, 6)
    np.testing.assert_allclose(outputs, naive_renet(inputs, layer), atol=1e-6)


def test_maps_of_unknown_size():
    layer = TestContract().make()
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, None, None, 6)
    features = random_input(1, 4, 2, 3)
    np.testing.assert_allclose(model(features), naive_renet(features, layer), atol=1e-6)


def changed_pixels(function, shape=(1, 4, 5, 3), at=(1, 3)):
    """Where the output changes with one pixel of the input."""
    inputs = random_input(*shape)
    changed = inputs.copy()
    changed[0, at[0], at[1]] += 1
    return np.any(np.asarray(function(changed) != function(inputs)), axis=-1)[0]


def test_rows_are_swept_first_and_then_everything_is_seen():
    layer = TestContract().make()
    only_the_row = np.zeros([4, 5], bool)
    only_the_row[1] = True
    np.testing.assert_array_equal(
        changed_pixels(lambda x: layer._sweep_lines(layer.rows, x).numpy()),
        only_the_row,
    )
    assert changed_pixels(lambda x: layer(x).numpy()).all()


def test_weights_start_as_in_the_release():
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
            # The deviation of a uniform distribution of width 0.4 is 0.4 / sqrt(12).
            assert matrix.std() == pytest.approx(0.1155, rel=0.05)
        np.testing.assert_array_equal(bias.reshape(4, 16)[[0, 2, 3]], 0)
        np.testing.assert_array_equal(bias.reshape(4, 16)[1], 1)  # forget
    # Bidirectional copies its layer, and with it perhaps the seed.
    for sweep in (layer.rows, layer.columns):
        forward, backward = sweep.forward_layer, sweep.backward_layer
        for one, other in zip(forward.get_weights(), backward.get_weights(), strict=1):
            if one.ndim == 2:
                assert not np.array_equal(one, other)
    # The columns' kernel has the shape of no other; recurrent ones all have one shape.
    recurrent = [one.get_weights()[1] for one in lstms]
    assert len({matrix.tobytes() for matrix in recurrent}) == 4
    # A kernel and a recurrent matrix of one shape within one LSTM must differ too.
    kernel, recurrent, _ = _square_lstm()
    assert not np.array_equal(kernel, recurrent)


def _square_lstm():
    layer = ReNet(4)
    layer.build((None, 3, 3, 4))
    return layer.rows.forward_layer.get_weights()


def test_default_is_the_papers():
    assert ReNet().get_config()["units"] == 256
    assert ReNet().compute_output_shape((None, 28, 28, 1024)) == (None, 28, 28, 512)


@pytest.mark.parametrize("use_cudnn", [False, "auto"])
def test_use_cudnn_reaches_the_lstms(use_cudnn):
    layer = ReNet.from_config(ReNet(2, use_cudnn=use_cudnn).get_config())
    for sweep in (layer.rows, layer.columns):
        assert sweep.forward_layer.use_cudnn is use_cudnn
        assert sweep.backward_layer.use_cudnn is use_cudnn


def test_while_a_model_loads_no_two_share_a_sweep():
    with ObjectSharingScope():  # As keras.models.load_model.
        layers = [ReNet(2) for _ in range(30)]
    sweeps = [sweep for layer in layers for sweep in (layer.rows, layer.columns)]
    assert len({id(sweep.forward_layer) for sweep in sweeps}) == 60
    assert len({id(sweep.backward_layer) for sweep in sweeps}) == 60
