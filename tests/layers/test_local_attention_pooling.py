"""LAP, Sec. 3.2, Eq. 3."""

import numpy as np
import pytest

from picanet_tf.layers import LocalAttentionPooling
from tests.layers import naive
from tests.layers.harness import AttentiveLayerContract, random_input


class TestContract(AttentiveLayerContract):
    layer_class = LocalAttentionPooling
    arguments = {"kernel_size": 3, "dilation_rate": 2, "attention_filters": 4}
    attention_sums_to_one = True
    cancelled = ("conv/bias",)
    variable_paths = (
        "attention/conv/bias",
        "attention/conv/kernel",
        "attention/norm/beta",
        "attention/norm/collected_weight",
        "attention/norm/gamma",
        "attention/norm/moving_mean",
        "attention/norm/moving_variance",
        "attention/see/bias",
        "attention/see/kernel",
    )


@pytest.mark.parametrize("implementation", ["fused", "patches"])
@pytest.mark.parametrize(
    "shape, kernel_size, dilation_rate",
    [((5, 4), 3, 2), ((6, 8), 5, 1), ((3, 3), 7, 2)],
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
    logits = layer.attention(inputs).numpy()
    expected = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(attention, expected, atol=1e-6)
    expected = naive.local_attention_pool(
        inputs.astype("float64"), attention.numpy(), kernel_size, dilation_rate
    )
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_attention_to_the_centre_alone_returns_the_input():
    layer = TestContract().make()
    layer.attention.norm.gamma.assign(np.zeros(9))
    layer.attention.norm.beta.assign([0, 0, 0, 0, 50, 0, 0, 0, 0])
    inputs = random_input(2, 5, 4, 3)
    np.testing.assert_allclose(layer(inputs)[0], inputs, atol=1e-6)


def test_defaults_are_those_of_the_paper():
    config = LocalAttentionPooling().get_config()
    assert (config["kernel_size"], config["dilation_rate"]) == (7, 2)
    assert config["attention_filters"] == 128


def test_error_messages():
    with pytest.raises(ValueError, match="`kernel_size` must be odd.*kernel_size=4"):
        LocalAttentionPooling(4)
    with pytest.raises(ValueError, match="implementation='fast'"):
        LocalAttentionPooling(3, implementation="fast")
