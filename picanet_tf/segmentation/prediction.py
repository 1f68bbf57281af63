"""From a network's outputs to classes, at the image's own size.

An image is put into the upper left of a square, at its own size and aspect, and the
square resized to the network's input; see `data_pipeline.augment.fit_classes`.
"""

from __future__ import annotations

import tensorflow as tf

from picanet_tf.segmentation.classes import BACKGROUND
from picanet_tf.segmentation.targets import stride_of
from picanet_tf.segmentation.variants import is_deeplab

# The network sees zeros around an image: the means that it subtracts.
MEAN_RGB = (123.68, 116.779, 103.939)
# DeepLab is trained on crops of 321 pixels, and tested on whole images in 513.
_TRAINED, _TESTED = 321, 513


def finest(names) -> str:
    """The output to predict from: `logits`, or the U-Net's last stage."""
    return min(name for name in names if not name.startswith("attention"))


def test_size(variant: str, image_size: int) -> int:
    """Side of the network's input that predicts, of one trained at `image_size`."""
    if is_deeplab(variant):
        return round((image_size - 1) * (_TESTED - 1) / (_TRAINED - 1)) + 1
    return image_size


def squared(image, side: int):
    """[H, W, 3] -> float32 square, the image in its upper left.

    Args:
        image: RGB 0..255, of any size.
        side: of the network's input; the square is at least as large.
    """
    shape = tf.shape(image)[:2]
    missing = tf.maximum(side, tf.reduce_max(shape)) - shape
    means = tf.constant(MEAN_RGB)
    paddings = tf.stack([tf.zeros([2], tf.int32), missing], axis=1)
    paddings = tf.concat([paddings, [[0, 0]]], axis=0)
    return tf.pad(tf.cast(image, tf.float32) - means, paddings) + means


def prepare(image, side: int):
    """[H, W, 3] -> float32 [side, side, 3]: the square at the input's size."""
    square = squared(image, side)
    return tf.image.resize(square, [side, side], method="bilinear")


def full_logits(scores, side: int):
    """Scores at the input's size, bilinear: float32 [N, side, side, classes].

    Enlarged by the stride, half-pixel centres, then cut: where the side is no multiple
    of the stride, the last positions have seen beyond the image.
    """
    enlarged = scores.shape[1] * stride_of(side, scores.shape[1])
    logits = tf.image.resize(scores, [enlarged, enlarged], method="bilinear")
    return logits[:, :side, :side]


def own_size(values, size, side: int):
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
