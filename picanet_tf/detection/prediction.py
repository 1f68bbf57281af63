"""From a network's outputs to detections of an image."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import tensorflow as tf

from picanet_tf.detection.default_boxes import BOXES, map_sides
from picanet_tf.detection.postprocess import detections
from picanet_tf.detection.results import Detections
from picanet_tf.pixels import Pixel, telling_pixels

_OFFSETS = 4
_TELLING = 3  # boxes looked from when no pixel is chosen
_SURE = 0.3  # the least score of those, where there are any of it


def raw(outputs: dict):
    """Offsets and scores side by side, [N, A, 25]: of Keras tensors or real ones."""
    return keras.ops.concatenate([outputs["locations"], outputs["scores"]], axis=-1)


def packed(heads, side: int):
    """`raw` -> float32 [N, 200, 6]: ymin, xmin, ymax, xmax (0..1), score, class."""
    found = detections(heads[..., :_OFFSETS], heads[..., _OFFSETS:], side)
    columns = [found["boxes"], found["scores"][..., tf.newaxis]]
    classes = tf.cast(found["classes"], tf.float32)[..., tf.newaxis]
    return tf.concat([*columns, classes], axis=-1)


def finish(rows, size) -> Detections:
    """What `packed` gave of one image, in pixels.

    Args:
        rows: [200, 6].
        size: (height, width) of the image.
    """
    rows = np.asarray(rows)
    rows = rows[rows[:, 5] > 0]
    height, width = int(size[0]), int(size[1])
    edges = np.array([height, width, height, width], np.float32)
    return Detections(rows[:, :4] * edges, rows[:, 4], rows[:, 5].astype(np.int64))


def objectness(heads, side: int):
    """How sure the network is of any object, where: float32 [N, h, w, 1] in 0..1.

    At each position of the finest map the most of all default boxes there, those of
    the coarser maps under it.
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


def telling(foreground: np.ndarray, found: Detections) -> dict[str, Pixel]:
    """Middles of the surest boxes; without any, as of a saliency map."""
    sure = found.above(_SURE) if (found.scores >= _SURE).any() else found
    first = itertools.islice(middles(sure, foreground.shape).items(), _TELLING)
    return dict(first) or telling_pixels(foreground)


def middles(found: Detections, size) -> dict[str, Pixel]:
    """{"box <rank>: <class> <score>": the pixel in its middle}, the surest first.

    Args:
        found: of an image of `size`, (height, width).
    """
    height, width = size
    pixels = {}
    for number, (top, left, bottom, right) in enumerate(found.boxes):
        x = min(width - 1, max(0, int((left + right) / 2)))
        y = min(height - 1, max(0, int((top + bottom) / 2)))
        pixels[f"box {number + 1}: {found.name(number)}"] = Pixel(x, y)
    return pixels
