"""From a class map to what each output shall learn."""

from __future__ import annotations

import math

import tensorflow as tf


def encode_targets(classes, outputs: dict) -> dict:
    """The targets of a segmentation network's outputs.

    Args:
        classes: integer [N, S, S, 1], the class of each pixel, 255 for none.
        outputs: {output name: tensor or shape holder}, such as `model.output`.

    Returns:
        {output name: int32 [N, h, w]} of the scores: the class at the middle of each
        position. Attention has no target.
    """
    return {
        name: shrink(classes, output.shape[1])
        for name, output in outputs.items()
        if not name.startswith("attention")
    }


def shrink(classes, size: int):
    """A class map at the positions of a smaller one: int32 [N, size, size].

    Position i of a map of stride s has seen the pixels s i to s i + s - 1; it gets the
    class of pixel s i + s / 2.
    """
    side = classes.shape[1]
    stride = stride_of(side, size)
    index = tf.minimum(tf.range(size) * stride + stride // 2, side - 1)
    rows = tf.gather(classes[..., 0], index, axis=1)
    return tf.cast(tf.gather(rows, index, axis=2), tf.int32)


def stride_of(side: int, size: int) -> int:
    """Pixels between the positions of a map: a power of 2, as all pools halve.

    Args:
        side: of the image.
        size: of the map, side / stride rounded up.
    """
    return 2 ** round(math.log2(side / size))
