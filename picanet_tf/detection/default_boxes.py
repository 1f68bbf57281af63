"""SSD's default boxes, and boxes as offsets from them.

Boxes are of two forms, both relative to the image, 0..1: corners (ymin, xmin, ymax,
xmax) and centres (centre y, centre x, height, width).

Reference: Liu et al., SSD, ECCV 2016, Sec. 2.2; the numbers are those of its release
(`examples/ssd/ssd_pascal.py`), which gives conv4_3 the scale 0.1 and clips no box.
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

# The layout itself is where an export can take it along.
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
    """[..., 4] of centres -> [..., 4] of corners, not clipped to the image."""
    boxes = tf.convert_to_tensor(boxes)
    centres, sizes = boxes[..., :2], boxes[..., 2:]
    return tf.concat([centres - sizes / 2, centres + sizes / 2], axis=-1)


def encode(boxes, defaults):
    """Offsets of boxes from default boxes, in units of `VARIANCES`.

    Args:
        boxes: float [..., A, 4] of corners, with areas above 0.
        defaults: float [A, 4] of centres.

    Returns:
        float [..., A, 4]: of centre y and x in sides of the default box, of height and
        width as logarithms of the ratio.
    """
    boxes = tf.convert_to_tensor(boxes)
    defaults = tf.cast(defaults, boxes.dtype)
    lower, upper = boxes[..., :2], boxes[..., 2:]
    centres = ((lower + upper) / 2 - defaults[:, :2]) / defaults[:, 2:]
    sizes = tf.math.log((upper - lower) / defaults[:, 2:])
    offsets = tf.concat([centres, sizes], axis=-1)
    return offsets / tf.constant(VARIANCES, boxes.dtype)


def decode(locations, defaults):
    """The boxes that offsets tell: `encode` turned round.

    Args:
        locations: float [..., A, 4] as `encode` gives them.
        defaults: float [A, 4] of centres.

    Returns:
        float [..., A, 4] of corners, not clipped to the image.
    """
    locations = tf.convert_to_tensor(locations)
    defaults = tf.cast(defaults, locations.dtype)
    offsets = locations * tf.constant(VARIANCES, locations.dtype)
    centres = offsets[..., :2] * defaults[:, 2:] + defaults[:, :2]
    sizes = tf.exp(offsets[..., 2:]) * defaults[:, 2:]
    return to_corners(tf.concat([centres, sizes], axis=-1))


def iou(a, b):
    """Intersection over union of each pair of boxes.

    Args:
        a: float [..., n, 4] of corners.
        b: float [..., m, 4] of corners.

    Returns:
        float [..., n, m]; 0 of a box without area, and of one turned inside out.
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
