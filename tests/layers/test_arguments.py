"""Arguments that every layer rejects."""

import pytest

from picanet_tf.layers.attention_convolution import AttentionConvolution
from picanet_tf.layers.context_controls import LocalContextPooling
from picanet_tf.layers.dilated_convolution import StridedDilatedConv2D
from picanet_tf.layers.global_attention_pooling import GlobalAttentionPooling
from picanet_tf.layers.local_attention import LocalAttention
from picanet_tf.layers.local_attention_pooling import LocalAttentionPooling
from picanet_tf.layers.renet import ReNet

WINDOW = ("kernel_size", "dilation_rate")
COUNTS = [
    (AttentionConvolution, {"filters": 4},
     ("filters", *WINDOW, "strides", "attention_filters")),
    (LocalAttention, {}, (*WINDOW, "filters", "strides")),
    (LocalAttentionPooling, {}, (*WINDOW, "attention_filters")),
    (GlobalAttentionPooling, {}, (*WINDOW, "units")),
    (LocalContextPooling, {"mode": "max"}, WINDOW),
    (StridedDilatedConv2D, {"filters": 4, "kernel_size": 3}, ("strides",)),
    (ReNet, {}, ("units",)),
]  # fmt: skip


@pytest.mark.parametrize("value", [0, -3, 1.5])
@pytest.mark.parametrize(
    ("layer", "others", "name"),
    [(layer, others, name) for layer, others, names in COUNTS for name in names],
)
def test_counts_and_distances_must_be_at_least_1(layer, others, name, value):
    with pytest.raises(ValueError) as raised:
        layer(**{**others, name: value})
    assert str(raised.value) == (
        f"`{name}` must be a whole number of at least 1. Received: {name}={value}"
    )
