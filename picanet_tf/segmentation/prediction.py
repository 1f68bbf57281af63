"""Converts a segmentation network's outputs to class maps, in TensorFlow.

Images are placed in the top left corner of a square, see `spec`.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from picanet_tf.core.constants import MEAN_RGB
from picanet_tf.core.voc import BACKGROUND
from picanet_tf.segmentation.targets import stride_of


def logits(outputs: Mapping):
    """Returns the output to predict from: `logits`, or the U-Net's last stage."""
    return outputs[min(name for name in outputs if not name.startswith("attention"))]


def resize(image, side: int):
    """Pads [H, W, 3] to a square and resizes it to float32 [side, side, 3].

    Args:
        image: RGB 0..255, any size.
        side: side of the network's input and minimum side of the square.
    """
    shape = tf.shape(image)[:2]
    missing = tf.maximum(side, tf.reduce_max(shape)) - shape
    means = tf.constant(MEAN_RGB)
    paddings = tf.stack([tf.zeros([2], tf.int32), missing], axis=1)
    paddings = tf.concat([paddings, [[0, 0]]], axis=0)
    square = tf.pad(tf.cast(image, tf.float32) - means, paddings) + means
    return tf.image.resize(square, [side, side], method="bilinear")


def upsample(logits, side: int):
    """Upsamples logits bilinearly to float32 [N, side, side, classes].

    Resizes by the stride with half-pixel centres and crops the result, because if the
    side is not a multiple of the stride, the last positions extend beyond the image.
    """
    enlarged = logits.shape[1] * stride_of(side, logits.shape[1])
    logits = tf.image.resize(logits, [enlarged, enlarged], method="bilinear")
    return logits[:, :side, :side]


def crop_to_image(values, size, side: int):
    """Resizes [S, S, C] to the square's size and crops the image, [H, W, C].

    Args:
        values: values over the network's input.
        size: (height, width) of the image.
        side: side of the network's input.
    """
    height, width = size[0], size[1]
    square = tf.maximum(side, tf.maximum(height, width))
    return tf.image.resize(values, [square, square], method="bilinear")[:height, :width]


def classes_of(logits):
    """Returns the class with the largest logit: [..., classes] -> uint8 [...]."""
    return tf.cast(tf.argmax(logits, axis=-1), tf.uint8)


def foreground(logits):
    """Returns the probability of any class but background: float32 [..., 1]."""
    probabilities = tf.nn.softmax(logits)
    return 1.0 - probabilities[..., BACKGROUND : BACKGROUND + 1]
