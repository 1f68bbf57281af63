"""The layers of the paper's Section 3. They depend on no task, data set or flag."""

# ruff: noqa: E402  Keras is checked before it is imported.

from picanet_tf.core.keras_config import check_keras

check_keras()

from picanet_tf.layers.attention_convolution import AttentionConvolution
from picanet_tf.layers.attentive import AttentiveLayer
from picanet_tf.layers.context_controls import GlobalContextPooling, LocalContextPooling
from picanet_tf.layers.dilated_convolution import DilatedConv2D, StridedDilatedConv2D
from picanet_tf.layers.dropout import Dropout
from picanet_tf.layers.global_attention_pooling import GlobalAttentionPooling
from picanet_tf.layers.l2_normalization import L2Normalization
from picanet_tf.layers.local_attention import LocalAttention
from picanet_tf.layers.local_attention_pooling import LocalAttentionPooling
from picanet_tf.layers.normalization import BatchNormalization
from picanet_tf.layers.renet import LSTMOptions, ReNet

__all__ = [
    "AttentionConvolution",
    "AttentiveLayer",
    "BatchNormalization",
    "DilatedConv2D",
    "Dropout",
    "GlobalAttentionPooling",
    "GlobalContextPooling",
    "L2Normalization",
    "LSTMOptions",
    "LocalAttention",
    "LocalAttentionPooling",
    "LocalContextPooling",
    "ReNet",
    "StridedDilatedConv2D",
]
