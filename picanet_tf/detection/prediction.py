"""Converts a detection network's outputs to detections, in TensorFlow."""

from __future__ import annotations

import keras
import tensorflow as tf

from picanet_tf.detection.default_boxes import BOXES, map_sides
from picanet_tf.detection.postprocess import detections

_OFFSETS = 4


def offsets_and_scores(outputs: dict):
    """Concatenates offsets and scores to [N, A, 25] (Keras or eager tensors)."""
    return keras.ops.concatenate([outputs["locations"], outputs["scores"]], axis=-1)


def pack_detections(heads, side: int):
    """Returns the detections of each image as rows, float32 [N, 200, 6].

    A row is ymin, xmin, ymax, xmax (0..1), score, class; class 0 is padding.

    Args:
        heads: output of `offsets_and_scores`.
        side: side of the network's input, in pixels.
    """
    found = detections(heads[..., :_OFFSETS], heads[..., _OFFSETS:], side)
    columns = [found["boxes"], found["scores"][..., tf.newaxis]]
    classes = tf.cast(found["classes"], tf.float32)[..., tf.newaxis]
    return tf.concat([*columns, classes], axis=-1)


def objectness(heads, side: int):
    """Returns the probability of any object: float32 [N, h, w, 1] in 0..1.

    This is the maximum over the default boxes at each position of the finest map,
    including those of the coarser maps' positions that cover it.
    """
    sizes = map_sides(side)
    any_object = 1.0 - tf.nn.softmax(heads[..., _OFFSETS:])[..., :1]
    maps, first = [], 0
    for count, size in zip(BOXES, sizes, strict=True):
        last = first + size * size * count
        boxes = tf.reshape(any_object[:, first:last], [-1, size, size, count])
        most = tf.reduce_max(boxes, axis=-1, keepdims=True)
        maps.append(tf.image.resize(most, [sizes[0]] * 2, method="nearest"))
        first = last
    return tf.reduce_max(tf.stack(maps), axis=0)
