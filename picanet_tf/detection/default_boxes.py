"""SSD's default boxes, and the encoding of boxes as offsets from them.

Boxes are represented as corners (ymin, xmin, ymax, xmax) or centres (centre y, centre
x, height, width), both relative to the image, 0..1.

Reference: Liu et al., SSD, ECCV 2016, Sec. 2.2. The values are those of the release
(`examples/ssd/ssd_pascal.py`): conv4_3 has the scale 0.1, and boxes are not clipped.
"""

from __future__ import annotations

import tensorflow as tf

from picanet_tf.detection.decode import (
    ASPECT_RATIOS,
    BOXES,
    SCALES,
    SOURCES,
    VARIANCES,
    default_boxes,
    map_sides,
    shrink_side,
)

# The layout is defined in `decode`, a file that is shipped with exports.
__all__ = [
    "ASPECT_RATIOS",
    "BOXES",
    "SCALES",
    "SOURCES",
    "VARIANCES",
    "decode",
    "default_boxes",
    "encode",
    "iou",
    "map_sides",
    "shrink_side",
    "to_corners",
]


def to_corners(boxes):
    """Converts centres [..., 4] to corners [..., 4], not clipped to the image."""
    boxes = tf.convert_to_tensor(boxes)
    centres, sizes = boxes[..., :2], boxes[..., 2:]
    return tf.concat([centres - sizes / 2, centres + sizes / 2], axis=-1)


def encode(boxes, defaults):
    """Encodes boxes as offsets from default boxes, in units of `VARIANCES`.

    Args:
        boxes: corners, float [..., A, 4], with areas above 0.
        defaults: centres, float [A, 4].

    Returns:
        float [..., A, 4]: offsets of centre y and x relative to the default box's
        height and width, and logarithms of the ratios of height and width.
    """
    boxes = tf.convert_to_tensor(boxes)
    defaults = tf.cast(defaults, boxes.dtype)
    lower, upper = boxes[..., :2], boxes[..., 2:]
    centres = ((lower + upper) / 2 - defaults[:, :2]) / defaults[:, 2:]
    sizes = tf.math.log((upper - lower) / defaults[:, 2:])
    offsets = tf.concat([centres, sizes], axis=-1)
    return offsets / tf.constant(VARIANCES, boxes.dtype)


def decode(locations, defaults):
    """Decodes offsets to boxes, the inverse of `encode`.

    Args:
        locations: offsets, float [..., A, 4].
        defaults: centres, float [A, 4].

    Returns:
        Corners, float [..., A, 4], not clipped to the image.
    """
    locations = tf.convert_to_tensor(locations)
    defaults = tf.cast(defaults, locations.dtype)
    offsets = locations * tf.constant(VARIANCES, locations.dtype)
    centres = offsets[..., :2] * defaults[:, 2:] + defaults[:, :2]
    sizes = tf.exp(offsets[..., 2:]) * defaults[:, 2:]
    return to_corners(tf.concat([centres, sizes], axis=-1))


def iou(a, b):
    """Computes the intersection over union of each pair of boxes.

    Args:
        a: corners, float [..., n, 4].
        b: corners, float [..., m, 4].

    Returns:
        float [..., n, m]; 0 for boxes with an empty or negative area.
    """
    a = tf.convert_to_tensor(a)
    b = tf.cast(b, a.dtype)
    lower = tf.maximum(a[..., :, None, :2], b[..., None, :, :2])
    upper = tf.minimum(a[..., :, None, 2:], b[..., None, :, 2:])
    common = tf.reduce_prod(tf.maximum(upper - lower, 0), axis=-1)
    union = _area(a)[..., :, None] + _area(b)[..., None, :] - common
    return tf.math.divide_no_nan(common, union)


def _area(boxes):
    return tf.reduce_prod(tf.maximum(boxes[..., 2:] - boxes[..., :2], 0), axis=-1)
