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
    silenced = ("conv/bias",)


@pytest.mark.parametrize("implementation", ["fused", "patches"])
@pytest.mark.parametrize(
    "shape, kernel_size, dilation_rate",
    [((5, 4), 3, 2), ((6, 8), 5, 1), ((3, 3), 7, 2)],
)
def test_pools_the_window_by_its_attention(
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


def test_attention_at_the_centre_changes_nothing():
    layer = TestContract().make()
    layer.attention.norm.gamma.assign(np.zeros(9))
    layer.attention.norm.beta.assign([0, 0, 0, 0, 50, 0, 0, 0, 0])
    inputs = random_input(2, 5, 4, 3)
    np.testing.assert_allclose(layer(inputs)[0], inputs, atol=1e-6)


def test_defaults_are_the_papers():
    config = LocalAttentionPooling().get_config()
    assert (config["kernel_size"], config["dilation_rate"]) == (7, 2)
    assert config["attention_filters"] == 128


def test_errors_say_what_was_wrong():
    with pytest.raises(ValueError, match="`kernel_size` must be odd.*kernel_size=4"):
        LocalAttentionPooling(4)
    with pytest.raises(ValueError, match="implementation='fast'"):
        LocalAttentionPooling(3, implementation="fast")
