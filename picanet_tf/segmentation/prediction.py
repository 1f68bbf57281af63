"""From a segmentation network's outputs to classes, in TensorFlow.

An image lies in the upper left of a square, see `spec`.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from picanet_tf.core.constants import MEAN_RGB
from picanet_tf.core.voc import BACKGROUND
from picanet_tf.segmentation.targets import stride_of


def logits(outputs: Mapping):
    """The output to predict from: `logits`, or the U-Net's last stage."""
    return outputs[min(name for name in outputs if not name.startswith("attention"))]


def resize(image, side: int):
    """[H, W, 3] -> float32 [side, side, 3]: the square at the input's size.

    Args:
        image: RGB 0..255, of any size.
        side: of the network's input; the square is at least as large.
    """
    shape = tf.shape(image)[:2]
    missing = tf.maximum(side, tf.reduce_max(shape)) - shape
    means = tf.constant(MEAN_RGB)
    paddings = tf.stack([tf.zeros([2], tf.int32), missing], axis=1)
    paddings = tf.concat([paddings, [[0, 0]]], axis=0)
    square = tf.pad(tf.cast(image, tf.float32) - means, paddings) + means
    return tf.image.resize(square, [side, side], method="bilinear")


def upsample(logits, side: int):
    """Logits at the input's size, bilinear: float32 [N, side, side, classes].

    Enlarged by the stride, half-pixel centres, then cut: where the side is no multiple
    of the stride, the last positions have seen beyond the image.
    """
    enlarged = logits.shape[1] * stride_of(side, logits.shape[1])
    logits = tf.image.resize(logits, [enlarged, enlarged], method="bilinear")
    return logits[:, :side, :side]


def crop_to_image(values, size, side: int):
    """[S, S, C] over a square -> [H, W, C] of the image in its upper left.

    Args:
        values: over the network's input.
        size: (height, width) of the image.
        side: of the network's input.
    """
    height, width = size[0], size[1]
    square = tf.maximum(side, tf.maximum(height, width))
    return tf.image.resize(values, [square, square], method="bilinear")[:height, :width]


def classes_of(logits):
    """[..., classes] -> uint8 [...]."""
    return tf.cast(tf.argmax(logits, axis=-1), tf.uint8)


def foreground(logits):
    """Probability of any class but the background: float32 [..., 1]."""
    probabilities = tf.nn.softmax(logits)
    return 1.0 - probabilities[..., BACKGROUND : BACKGROUND + 1]
