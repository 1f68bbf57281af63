"""SSD's default boxes, and boxes told by how far they are from them.

Boxes are of two forms, both relative to the image, 0..1: corners (ymin, xmin, ymax,
xmax) and centres (centre y, centre x, height, width).

Reference: Liu et al., SSD, ECCV 2016, Sec. 2.2; the numbers are those of its release
(`examples/ssd/ssd_pascal.py`), which gives conv4_3 the scale 0.1 and clips no box.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

# Source maps, fine to coarse.
SOURCES = ("conv4_3", "fc7", "conv8_2", "conv9_2", "conv10_2", "conv11_2")
# Sides of the square boxes of each source, parts of the image's side; the last one ends
# the range. 30, 60, 111, 162, 213, 264, 315 pixels of 300.
SCALES = (0.1, 0.2, 0.37, 0.54, 0.71, 0.88, 1.05)
# Width over height, each one also the other way round.
ASPECT_RATIOS = ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))
# Boxes at each position: two squares, and two of each aspect ratio.
BOXES = tuple(2 + 2 * len(ratios) for ratios in ASPECT_RATIOS)
# Pixels between the positions of the sources that the strides make; the coarser ones,
# made by convolutions without padding, are laid over the image evenly.
_STRIDES = (8, 16, 32, 64)
# Offsets are told in these units: of centres, of the logarithms of sides.
VARIANCES = (0.1, 0.1, 0.2, 0.2)


def map_sides(image_size: int) -> tuple[int, ...]:
    """Positions along a side of each source's map; 300: 38, 19, 10, 5, 3, 1."""
    sides = [-(-image_size // stride) for stride in _STRIDES]
    for _ in SOURCES[len(sides) :]:
        sides.append(shrunk(sides[-1]))
    return tuple(sides)


def shrunk(side: int) -> int:
    """Side of a map after 3x3 without padding; too small a map is padded and stays."""
    return side - 2 if side >= 3 else side


def default_boxes(image_size: int = 300) -> np.ndarray:
    """Centre y, centre x, height, width of every default box, unclipped.

    Returns:
        float32 [A, 4], relative to the image; A is 8,732 at 300 pixels. The sources
        follow one another from fine to coarse; in each, rows, columns, then boxes: the
        square of its scale, the square between its scale and the next, and those of
        aspect ratio 2, 1/2, 3, 1/3.
    """
    boxes = []
    for number, side in enumerate(map_sides(image_size)):
        step = 1 / side
        if number < len(_STRIDES):
            step = _STRIDES[number] / image_size
        centres = (np.arange(side) + 0.5) * step
        shapes = _shapes(number)
        here = np.empty((side, side, len(shapes), 4))
        here[..., 0] = centres[:, None, None]
        here[..., 1] = centres[None, :, None]
        here[..., 2:] = shapes
        boxes.append(here.reshape(-1, 4))
    return np.float32(np.concatenate(boxes))


def _shapes(source: int) -> list[tuple[float, float]]:
    """(height, width) of the boxes at each position of a source."""
    scale, following = SCALES[source : source + 2]
    between = (scale * following) ** 0.5
    shapes = [(scale, scale), (between, between)]
    for ratio in ASPECT_RATIOS[source]:
        root = ratio**0.5
        shapes += [(scale / root, scale * root), (scale * root, scale / root)]
    return shapes


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
