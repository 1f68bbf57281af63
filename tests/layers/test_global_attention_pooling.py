"""GAP, Sec. 3.1, Eq. 1-2."""

import keras
import numpy as np
import pytest

from picanet_tf.layers import GlobalAttentionPooling, LSTMOptions
from tests.layers import naive
from tests.layers.harness import AttentiveLayerContract, random_input


class TestContract(AttentiveLayerContract):
    layer_class = GlobalAttentionPooling
    arguments = {"kernel_size": 2, "dilation_rate": 2, "units": 3}
    config_defaults = {"lstm_options": {"use_cudnn": "auto", "unroll": False}}
    attention_sums_to_one = True
    cancelled = ("conv/bias",)
    variable_paths = (
        "conv/bias",
        "conv/kernel",
        "norm/beta",
        "norm/collected_weight",
        "norm/gamma",
        "norm/moving_mean",
        "norm/moving_variance",
        "renet/columns/backward_lstm/lstm_cell/bias",
        "renet/columns/backward_lstm/lstm_cell/kernel",
        "renet/columns/backward_lstm/lstm_cell/recurrent_kernel",
        "renet/columns/forward_lstm/lstm_cell/bias",
        "renet/columns/forward_lstm/lstm_cell/kernel",
        "renet/columns/forward_lstm/lstm_cell/recurrent_kernel",
        "renet/rows/backward_lstm/lstm_cell/bias",
        "renet/rows/backward_lstm/lstm_cell/kernel",
        "renet/rows/backward_lstm/lstm_cell/recurrent_kernel",
        "renet/rows/forward_lstm/lstm_cell/bias",
        "renet/rows/forward_lstm/lstm_cell/kernel",
        "renet/rows/forward_lstm/lstm_cell/recurrent_kernel",
    )

    def test_loading_keeps_use_cudnn(self, tmp_path):
        # `keras.layers.LSTM` itself does not save it.
        model = self.functional(self.make(lstm_options={"use_cudnn": False}))
        model.save(tmp_path / "model.keras")
        for again in (
            keras.models.load_model(tmp_path / "model.keras").layers[-1],
            keras.models.clone_model(model).layers[-1],
        ):
            for sweep in (again.renet.rows, again.renet.columns):
                assert sweep.forward_layer.use_cudnn is False
                assert sweep.backward_layer.use_cudnn is False


@pytest.mark.parametrize("implementation", ["fused", "patches"])
@pytest.mark.parametrize(
    "shape, kernel_size, dilation_rate", [((6, 6), 3, 2), ((4, 7), 2, 3)]
)
def test_equals_naive_pooling_with_its_attention(
    shape, kernel_size, dilation_rate, implementation
):
    contract = TestContract()
    contract.input_shape = (*shape, 3)
    layer = contract.make(
        kernel_size=kernel_size,
        dilation_rate=dilation_rate,
        implementation=implementation,
    )
    inputs = contract.batch()
    outputs, attention = layer(inputs)
    assert attention.shape == (2, *shape, kernel_size**2)
    np.testing.assert_allclose(np.sum(attention, axis=-1), 1.0, rtol=1e-6)
    assert np.std(attention) > 0.01
    expected = naive.global_attention_pool(
        inputs.astype("float64"), attention.numpy(), kernel_size, dilation_rate
    )
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_attention_is_the_softmax_of_normalized_logits_of_renet():
    contract = TestContract()
    layer, inputs = contract.make(), contract.batch()
    _, attention = layer(inputs)
    hidden = layer.renet(inputs).numpy().astype("float64")
    logits = hidden @ layer.conv.kernel.numpy()[0, 0] + layer.conv.bias.numpy()
    norm = layer.norm
    logits = (logits - norm.moving_mean.numpy()) / np.sqrt(
        norm.moving_variance.numpy() + 1e-5
    )
    logits = logits * norm.gamma.numpy() + norm.beta.numpy()
    expected = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(attention, expected, atol=1e-5)


def test_defaults_are_those_of_the_paper():
    config = GlobalAttentionPooling().get_config()
    assert (config["kernel_size"], config["dilation_rate"]) == (10, 3)
    assert config["units"] == 256


def test_every_pixels_attention_depends_on_a_far_pixel():
    layer = TestContract().make()
    inputs = random_input(1, 5, 4, 3)
    changed = inputs.copy()
    changed[0, 4, 3] += 1
    difference = np.abs(layer(changed)[1] - layer(inputs)[1]).max(axis=-1)
    assert difference.min() > 0


def test_lstm_options_reach_renet():
    options = LSTMOptions(use_cudnn=False, unroll=True)
    for passed in (options, {"use_cudnn": False, "unroll": True}):
        layer = GlobalAttentionPooling(2, 1, 3, lstm_options=passed)
        assert layer.lstm_options == layer.renet.lstm_options == options
    assert GlobalAttentionPooling(2, 1, 3).renet.lstm_options == LSTMOptions()


def test_error_messages():
    with pytest.raises(ValueError, match="spans 28 positions .* map of 27"):
        GlobalAttentionPooling(10, 3)(keras.Input((28, 27, 3)))
    with pytest.raises(ValueError, match="static height and width"):
        GlobalAttentionPooling(2, 1)(keras.Input((None, 4, 3)))
    with pytest.raises(ValueError, match="implementation='fast'"):
        GlobalAttentionPooling(2, 1, implementation="fast")
