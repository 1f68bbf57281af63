"""The attention logits of LAP and AC."""

import numpy as np
import pytest

from picanet_tf.layers import LocalAttention
from tests.layers import naive
from tests.layers.harness import LayerContract


class TestContract(LayerContract):
    layer_class = LocalAttention
    arguments = {"kernel_size": 3, "dilation_rate": 2, "filters": 4, "strides": 1}
    cancelled = ("conv/bias",)
    variable_paths = (
        "conv/bias",
        "conv/kernel",
        "norm/beta",
        "norm/collected_weight",
        "norm/gamma",
        "norm/moving_mean",
        "norm/moving_variance",
        "see/bias",
        "see/kernel",
    )

    def test_honours_mixed_precision(self):
        """The logits are float32 all the same, as softmax and sigmoid need it."""
        layer = self.make(dtype="mixed_float16")
        assert {part.compute_dtype for part in layer._flatten_layers()} == {"float16"}
        logits = layer(self.batch())
        assert logits.dtype == self.functional(layer).outputs[0].dtype == "float32"
        np.testing.assert_allclose(logits, self.make()(self.batch()), atol=0.05)


@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("shape", [(5, 4), (4, 6)])
def test_equals_naive_loops(strides, shape):
    contract = TestContract()
    contract.input_shape = (*shape, 3)
    layer, inputs = contract.make(strides=strides), contract.batch()
    see, conv, norm = layer.see, layer.conv, layer.norm
    height, width = (-(-size // strides) for size in shape)
    expected = np.zeros([2, height, width, 9])
    for y in range(height):
        for x in range(width):
            hidden = see.bias.numpy().astype("float64")
            for i, feature in naive.window(inputs, y * strides, x * strides, 3, 2):
                hidden = hidden + feature @ see.kernel.numpy()[divmod(i, 3)]
            hidden = np.maximum(hidden, 0)
            logits = hidden @ conv.kernel.numpy()[0, 0] + conv.bias.numpy()
            logits = (logits - norm.moving_mean.numpy()) / np.sqrt(
                norm.moving_variance.numpy() + 1e-5
            )
            expected[:, y, x] = logits * norm.gamma.numpy() + norm.beta.numpy()
    np.testing.assert_allclose(layer(inputs), expected, atol=1e-5)


def test_an_even_window_is_an_error():
    with pytest.raises(ValueError, match="`kernel_size` must be odd.*kernel_size=6"):
        LocalAttention(6)
