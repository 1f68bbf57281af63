"""Training targets of segmentation networks."""

from __future__ import annotations

import math

import tensorflow as tf


def encode_targets(classes, outputs: dict) -> dict:
    """Encodes class maps as targets of a segmentation network's outputs.

    Args:
        classes: integer [N, S, S, 1], the class of each pixel, 255 for none.
        outputs: {output name: tensor or other object with a shape}, such as
            `model.output`.

    Returns:
        {output name: int32 [N, h, w]} for the score outputs, the class at the centre of
        each position. Attention outputs have no target.
    """
    return {
        name: shrink(classes, output.shape[1])
        for name, output in outputs.items()
        if not name.startswith("attention")
    }


def shrink(classes, size: int):
    """Subsamples a class map to int32 [N, size, size].

    Position i of a map with stride s covers the pixels s i to s i + s - 1 and gets the
    class of pixel s i + s / 2.
    """
    side = classes.shape[1]
    stride = stride_of(side, size)
    index = tf.minimum(tf.range(size) * stride + stride // 2, side - 1)
    rows = tf.gather(classes[..., 0], index, axis=1)
    return tf.cast(tf.gather(rows, index, axis=2), tf.int32)


def stride_of(side: int, size: int) -> int:
    """Returns the stride of a map, a power of 2.

    Args:
        side: side of the image.
        size: side of the map, side / stride rounded up.
    """
    return 2 ** round(math.log2(side / size))
