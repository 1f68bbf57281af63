"""SSD's augmentation of an image and its boxes (Liu et al., 2016, Sec. 2.2 and 3.6).

Pure functions of tensors and a stateless seed, as in `augment`. A view is a window on
the image, which may extend beyond it (expansion). Its edges are whole pixels, so that
boxes are clipped and moved without rounding: a box with an area keeps one.

Objects are float32 `(n, 6)`: ymin, xmin, ymax, xmax relative to the image, 0..1, label
1..20, difficult. Batches pad them to `MAX_OBJECTS` with rows of zeros.
"""

from typing import NamedTuple

import tensorflow as tf

from data_pipeline.annotations import MAX_OBJECTS
from picanet_tf.core.constants import MEAN_RGB

# Minimum overlaps (IoU) of a crop with some object; 0 accepts any crop. One is drawn
# from those for which a crop was found; not to crop is one more choice.
MIN_OVERLAPS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.0)
TRIALS = 50
# Ranges of the square root of a crop's area and of its aspect ratio, both relative to
# the view's.
SCALES, ASPECTS = (0.3, 1.0), (0.5, 2.0)
LARGEST_EXPANSION = 4.0
# Each is applied to half of the images. Brightness is in values of 0..255, hue in turns
# of the circle, which OpenCV, and so Caffe's SSD, divides into 180 steps.
BRIGHTNESS, CONTRAST, SATURATION, HUE = 32.0, (0.5, 1.5), (0.5, 1.5), 18 / 180


class View(NamedTuple):
    """A part of the image, or more than the image.

    Attributes:
        window: int32 `[4]`, top, left, bottom, right in pixels of the image; may extend
            beyond it.
        kept: bool `(n,)`, True for objects whose centre is inside.
    """

    window: tf.Tensor
    kept: tf.Tensor


def augment_boxes(
    image: tf.Tensor, objects: tf.Tensor, *, image_size: int, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Distorts colours, expands, crops and mirrors, each at random.

    An object whose centre lies in the view is kept and clipped to it; the others are
    dropped, as in SSD. If the image has objects, at least one is kept.

    Args:
        image: `(height, width, 3)`, uint8 or float32, 0..255.
        objects: `(n, 6)`, without padding.
        image_size: side of the result; the view is resized to it without keeping its
            aspect ratio.
        seed: integer tensor `(2,)`.

    Returns:
        image: float32 `(image_size, image_size, 3)`, 0..255;
        objects: `(MAX_OBJECTS, 6)`, relative to the new image.
    """
    seeds = tf.random.split(seed, 3)
    height, width = tf.unstack(tf.shape(image)[:2])
    view = choose_view(objects, height, width, seeds[0])
    image, target = _cut_window(image, view.window, image_size)
    image = distort(image, seeds[1])
    image = _place(image, target, image_size)
    kept = tf.boolean_mask(objects, view.kept)
    boxes = move_boxes(kept[:, :4], view.window, height, width, target, image_size)
    objects = tf.concat([boxes, kept[:, 4:]], axis=1)
    mirrored = tf.random.stateless_uniform([], seeds[2]) < 0.5
    return mirror(image, pad_objects(objects), mirrored)


def fit_boxes(
    image: tf.Tensor, objects: tf.Tensor, image_size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Resizes the whole image to a square; relative boxes stay as they are."""
    image = tf.image.resize(image, (image_size, image_size), method="bilinear")
    return image, pad_objects(objects)


def choose_view(
    objects: tf.Tensor, height: tf.Tensor, width: tf.Tensor, seed: tf.Tensor
) -> View:
    """Draws the part of the image to train on.

    Half of the images are expanded, and then most are cropped.

    Args:
        objects: `(n, 6)`.
        height, width: int32 scalars, the size of the image.
        seed: integer tensor `(2,)`.
    """
    seeds = tf.random.split(seed, 3)
    canvas = _expand(height, width, seeds[0])
    windows = _draw_crops(canvas, seeds[1])  # [overlaps, trials, 4]
    size = tf.cast(tf.stack([height, width, height, width]), tf.float32)
    boxes = objects[:, :4] * size
    inside = _contain_centre(windows, boxes)  # [overlaps, trials, n]
    wanted = tf.constant(MIN_OVERLAPS)[:, tf.newaxis, tf.newaxis]
    overlaps = tf.reduce_any(_iou(windows, boxes) >= wanted, axis=-1)
    good = overlaps & tf.reduce_any(inside, axis=-1)  # [overlaps, trials]
    found = tf.reduce_any(good, axis=1)
    # The last choice, which is always available, is not to crop.
    choices = tf.where(tf.concat([found, [True]], axis=0))[:, 0]
    drawn = tf.random.stateless_uniform([], seeds[2]) * tf.cast(
        tf.size(choices), tf.float32
    )
    choice = choices[tf.minimum(tf.cast(drawn, tf.int32), tf.size(choices) - 1)]
    first = tf.argmax(tf.cast(good, tf.int32), axis=1)
    crops = tf.gather(windows, first, batch_dims=1)
    window = tf.concat([crops, canvas[tf.newaxis]], axis=0)[choice]
    return View(window, _contain_centre(window[tf.newaxis], boxes)[0])


def move_boxes(
    boxes: tf.Tensor,
    window: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    target: tf.Tensor,
    image_size: int,
) -> tf.Tensor:
    """Clips boxes to the view and makes them relative to it.

    Args:
        boxes: `(n, 4)`, relative to the image, each with its centre in the window.
        window: int32 `[4]`, in pixels of the image.
        height, width: int32 scalars, the size of the image.
        target: int32 `[4]`, where the image lies in the resized view, in pixels.
        image_size: side of the resized view, in pixels.

    Returns:
        float32 `(n, 4)`, relative to the view, 0..1.
    """
    size = tf.cast(tf.stack([height, width]), tf.float32)
    source = tf.cast(_clip_window(window, height, width), tf.float32)
    target = tf.cast(target, tf.float32)
    corners = tf.reshape(boxes, [-1, 2, 2]) * size
    corners = tf.clip_by_value(corners, source[:2], source[2:])
    scale = (target[2:] - target[:2]) / (source[2:] - source[:2])
    corners = target[:2] + (corners - source[:2]) * scale
    corners = tf.clip_by_value(corners / image_size, 0.0, 1.0)
    return tf.reshape(corners, [-1, 4])


def distort(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Changes brightness, contrast, saturation and hue, each with probability 1/2.

    Contrast is changed before or after saturation and hue, at random.

    Args:
        image: float32 `(height, width, 3)`, 0..255.
        seed: integer tensor `(2,)`.

    Returns:
        The distorted image, clipped to 0..255.
    """
    values = tf.random.stateless_uniform([4], seed)
    happens = tf.random.stateless_uniform([5], tf.random.fold_in(seed, 1)) < 0.5
    low = tf.constant([-BRIGHTNESS, CONTRAST[0], SATURATION[0], -HUE])
    high = tf.constant([BRIGHTNESS, CONTRAST[1], SATURATION[1], HUE])
    values = tf.where(
        happens[:4], low + (high - low) * values, tf.constant([0.0, 1.0, 1.0, 0.0])
    )
    brightness, contrast, saturation, hue = tf.unstack(values)
    early = happens[4]
    image = tf.clip_by_value(image + brightness, 0.0, 255.0)
    image = tf.clip_by_value(image * tf.where(early, contrast, 1.0), 0.0, 255.0)
    image = tf.image.adjust_saturation(image / 255.0, saturation)
    image = tf.image.adjust_hue(tf.clip_by_value(image, 0.0, 1.0), hue) * 255.0
    return tf.clip_by_value(image * tf.where(early, 1.0, contrast), 0.0, 255.0)


def mirror(
    image: tf.Tensor, objects: tf.Tensor, mirrored: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mirrors image and objects left to right if the bool scalar `mirrored` is true.

    Args:
        image: `(height, width, 3)`.
        objects: `(n, 6)`; rows with label 0 are padding and stay zeros.
        mirrored: bool scalar.
    """
    image = tf.raw_ops.Reverse(tensor=image, dims=tf.stack([False, mirrored, False]))
    ymin, xmin, ymax, xmax, label, difficult = tf.unstack(objects, axis=1)
    other = tf.stack([ymin, 1.0 - xmax, ymax, 1.0 - xmin, label, difficult], axis=1)
    changes = mirrored & (label > 0)
    return image, tf.where(changes[:, tf.newaxis], other, objects)


def pad_objects(objects: tf.Tensor) -> tf.Tensor:
    """Appends rows of zeros: `(n, 6)` -> `(MAX_OBJECTS, 6)`."""
    missing = MAX_OBJECTS - tf.shape(objects)[0]
    return tf.ensure_shape(tf.pad(objects, [[0, missing], [0, 0]]), [MAX_OBJECTS, 6])


def _expand(height: tf.Tensor, width: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws a window around the image, in half of the cases up to 4 times its size."""
    happens, ratio, top, left = tf.unstack(tf.random.stateless_uniform([4], seed))
    ratio = tf.where(happens < 0.5, 1.0 + ratio * (LARGEST_EXPANSION - 1.0), 1.0)
    size = tf.stack([height, width])
    larger = tf.cast(tf.round(tf.cast(size, tf.float32) * ratio), tf.int32)
    corner = -_draw_offset(larger - size, tf.stack([top, left]))
    return tf.concat([corner, corner + larger], axis=0)


def _draw_crops(canvas: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws crops of a window: int32 `[overlaps, trials, 4]`, in whole pixels."""
    shape = [len(MIN_OVERLAPS), TRIALS, 4]
    scale, aspect, top, left = tf.unstack(
        tf.random.stateless_uniform(shape, seed), axis=-1
    )
    scale = SCALES[0] + scale * (SCALES[1] - SCALES[0])
    aspect = ASPECTS[0] + aspect * (ASPECTS[1] - ASPECTS[0])
    # Caffe's limits: no side is longer than the view's, but many are equally long.
    root = tf.sqrt(tf.clip_by_value(aspect, scale**2, 1.0 / scale**2))
    relative = tf.stack([scale / root, scale * root], axis=-1)
    whole = canvas[2:] - canvas[:2]
    size = tf.cast(tf.round(relative * tf.cast(whole, tf.float32)), tf.int32)
    size = tf.clip_by_value(size, 1, whole)
    corner = canvas[:2] + _draw_offset(whole - size, tf.stack([top, left], axis=-1))
    return tf.concat([corner, corner + size], axis=-1)


def _draw_offset(room: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Converts positions in [0, 1) to whole pixels 0..room, all equally likely."""
    drawn = tf.cast(places * tf.cast(room + 1, tf.float32), tf.int32)
    return tf.minimum(drawn, room)  # float32 may round up to `room + 1`.


def _contain_centre(windows: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Tests for each window and box whether the window contains the box's centre.

    `[..., 4]` and `(n, 4)` in pixels -> bool `[..., n]`.
    """
    windows = tf.cast(windows, tf.float32)[..., tf.newaxis, :]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2.0
    after = centres > windows[..., :2]
    return tf.reduce_all(after & (centres < windows[..., 2:]), axis=-1)


def _iou(windows: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Computes the IoU: `[..., 4]` and `(n, 4)` in pixels -> `[..., n]`."""
    windows = tf.cast(windows, tf.float32)[..., tf.newaxis, :]
    common = tf.minimum(windows[..., 2:], boxes[:, 2:]) - tf.maximum(
        windows[..., :2], boxes[:, :2]
    )
    common = tf.reduce_prod(tf.maximum(common, 0.0), axis=-1)
    areas = (tf.reduce_prod(each[..., 2:] - each[..., :2], axis=-1)
             for each in (windows, boxes))  # fmt: skip
    return common / (sum(areas) - common)


def _clip_window(window: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Returns the part of the window that lies in the image."""
    size = tf.stack([height, width])
    return tf.concat([tf.maximum(window[:2], 0), tf.minimum(window[2:], size)], axis=0)


def _cut_window(
    image: tf.Tensor, window: tf.Tensor, image_size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Crops the image to a window, and resizes the part that lies in it for the view.

    Returns:
        The part at its size in the resized view, and its position there, int32 `[4]`.
    """
    height, width = tf.unstack(tf.shape(image)[:2])
    inside = _clip_window(window, height, width)
    image = image[inside[0] : inside[2], inside[1] : inside[3]]
    offsets = tf.cast(tf.reshape(inside, [2, 2]) - window[:2], tf.float32)
    scale = image_size / tf.cast(window[2:] - window[:2], tf.float32)
    begin, end = tf.unstack(tf.cast(tf.round(offsets * scale), tf.int32))
    begin = tf.minimum(begin, image_size - 1)
    end = tf.clip_by_value(end, begin + 1, image_size)
    image = tf.image.resize(image, end - begin, method="bilinear")
    return image, tf.concat([begin, end], axis=0)


def _place(image: tf.Tensor, target: tf.Tensor, image_size: int) -> tf.Tensor:
    """Pads the image to the whole view with the mean colour."""
    means = tf.constant(MEAN_RGB)
    before, after = target[:2], image_size - target[2:]
    paddings = tf.concat([tf.stack([before, after], axis=1), [[0, 0]]], axis=0)
    image = tf.pad(image - means, paddings) + means
    return tf.ensure_shape(image, [image_size, image_size, 3])
