"""Section 3 of the paper as Keras layers: they know no task, no data, no flags."""

from picanet_tf.layers.attention_convolution import AttentionConvolution
from picanet_tf.layers.context_controls import GlobalContextPooling, LocalContextPooling
from picanet_tf.layers.dilated_convolution import DilatedConv2D, SteppingConv2D
from picanet_tf.layers.global_attention_pooling import GlobalAttentionPooling
from picanet_tf.layers.l2_normalization import L2Normalization
from picanet_tf.layers.local_attention import LocalAttention
from picanet_tf.layers.local_attention_pooling import LocalAttentionPooling
from picanet_tf.layers.normalization import BatchNormalization
from picanet_tf.layers.renet import ReNet

__all__ = [
    "AttentionConvolution",
    "BatchNormalization",
    "DilatedConv2D",
    "GlobalAttentionPooling",
    "GlobalContextPooling",
    "L2Normalization",
    "LocalAttention",
    "LocalAttentionPooling",
    "LocalContextPooling",
    "ReNet",
    "SteppingConv2D",
]
