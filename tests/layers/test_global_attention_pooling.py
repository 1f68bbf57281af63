"""GAP, Sec. 3.1, Eq. 1-2."""

import keras
import numpy as np
import pytest

from picanet_tf.layers import GlobalAttentionPooling
from tests.layers import naive
from tests.layers.harness import AttentiveLayerContract, random_input


class TestContract(AttentiveLayerContract):
    layer_class = GlobalAttentionPooling
    arguments = {"kernel_size": 2, "dilation_rate": 2, "units": 3}
    attention_sums_to_one = True
    silenced = ("conv/bias",)

    def test_without_cudnn_it_stays_so_when_loaded(self, tmp_path):
        # `keras.layers.LSTM` itself forgets it.
        model = self.functional(self.make(use_cudnn=False))
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
def test_pools_the_grid_by_its_attention(
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


def test_attention_is_softmax_of_normalized_scores_of_renet():
    contract = TestContract()
    layer, inputs = contract.make(), contract.batch()
    _, attention = layer(inputs)
    seen = layer.renet(inputs).numpy().astype("float64")
    scores = seen @ layer.conv.kernel.numpy()[0, 0] + layer.conv.bias.numpy()
    norm = layer.norm
    scores = (scores - norm.moving_mean.numpy()) / np.sqrt(
        norm.moving_variance.numpy() + 1e-5
    )
    scores = scores * norm.gamma.numpy() + norm.beta.numpy()
    expected = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(attention, expected, atol=1e-5)


def test_defaults_are_the_papers():
    config = GlobalAttentionPooling().get_config()
    assert (config["kernel_size"], config["dilation_rate"]) == (10, 3)
    assert config["units"] == 256


def test_attention_follows_the_image_from_afar():
    """Every pixel's attention depends on every pixel of the map."""
    layer = TestContract().make()
    inputs = random_input(1, 5, 4, 3)
    changed = inputs.copy()
    changed[0, 4, 3] += 1
    difference = np.abs(layer(changed)[1] - layer(inputs)[1]).max(axis=-1)
    assert difference.min() > 0


def test_a_grid_that_does_not_fit_is_an_error_when_built():
    with pytest.raises(ValueError, match="spans 28 positions .* map of 27"):
        GlobalAttentionPooling(10, 3)(keras.Input((28, 27, 3)))
    with pytest.raises(ValueError, match="static height and width"):
        GlobalAttentionPooling(2, 1)(keras.Input((None, 4, 3)))
    with pytest.raises(ValueError, match="implementation='fast'"):
        GlobalAttentionPooling(2, 1, implementation="fast")
