"""From objects to what each default box shall say."""

from __future__ import annotations

import tensorflow as tf

from picanet_tf.detection.default_boxes import default_boxes, encode, iou, to_corners

MATCHED_OVERLAP = 0.5


def encode_targets(objects, outputs: dict, image_size: int) -> dict:
    """The targets of a detection network's outputs.

    Args:
        objects: float [N, M, 6]: ymin, xmin, ymax, xmax relative to the image, label
            1..20, difficult; rows of label 0 are padding. Difficult objects are learnt
            like others, as SSD does.
        outputs: {output name: tensor or shape holder}, such as `model.output`.
        image_size: side of the network's input, in pixels.

    Returns:
        {"locations": float32 [N, A, 5], "scores": int32 [N, A]}: the offset to the
        object that a default box is matched with, and 1, or zeros; the object's label,
        or 0. Attention has no target.

    Raises:
        ValueError: the outputs are not those of a network of that input.
    """
    defaults = default_boxes(image_size)
    if outputs["locations"].shape[1] != len(defaults):
        raise ValueError(
            f"A network of image_size={image_size} tells {len(defaults)} locations. "
            f"Received: {outputs['locations'].shape}"
        )
    objects = tf.cast(objects, tf.float32)
    matches = match(objects, to_corners(defaults))
    positive = matches >= 0
    own = tf.gather(objects, tf.maximum(matches, 0), axis=1, batch_dims=1)
    labels = tf.where(positive, tf.cast(tf.round(own[..., 4]), tf.int32), 0)
    # The default box itself where there is no object: padding has no logarithm.
    positive = positive[..., tf.newaxis]
    boxes = tf.where(positive, own[..., :4], to_corners(defaults))
    offsets = tf.where(positive, encode(boxes, defaults), 0.0)
    locations = tf.concat([offsets, tf.cast(positive, tf.float32)], axis=-1)
    return {"locations": locations, "scores": labels}


def match(objects, corners):
    """Which object each default box shall find.

    First every object gets the free box that it overlaps most, pairs of most overlap
    ahead; then every box that is still free gets the object that it overlaps most, by
    `MATCHED_OVERLAP` or more.

    Args:
        objects: float32 [N, M, 6], as of `encode_targets`.
        corners: float32 [A, 4], the default boxes.

    Returns:
        int32 [N, A]: number of the object, or -1.

    Reference: SSD, Sec. 2.2; the release's `MatchBBox`.
    """
    # Of the rows of padding only what the fullest image needs, and a row at least.
    real = objects[..., 4] > 0
    rows = tf.range(1, tf.shape(real)[1] + 1)
    fullest = tf.maximum(tf.reduce_max(tf.where(real, rows, 0)), 1)
    objects, real = objects[:, :fullest], real[:, :fullest]
    overlaps = iou(objects[..., :4], corners)  # [N, m, A]
    overlaps = tf.where(real[..., tf.newaxis], overlaps, 0.0)
    nearest = tf.argmax(overlaps, axis=1, output_type=tf.int32)
    enough = tf.reduce_max(overlaps, axis=1) >= MATCHED_OVERLAP
    matches = tf.where(enough, nearest, -1)
    # [N, m, A]: an object has one box by force, and a box one object.
    taken = tf.one_hot(_force_matches(overlaps), tf.shape(overlaps)[2]) > 0
    numbers = tf.range(fullest)[:, tf.newaxis]
    forced = tf.reduce_max(tf.where(taken, numbers, -1), axis=1)
    return tf.where(forced >= 0, forced, matches)


def _force_matches(overlaps):
    """Each object's own box: int32 [N, m], -1 of an object that overlaps none.

    Of m objects, one of an object's m best boxes is always left for it, so only these
    are looked at.

    Args:
        overlaps: float32 [N, m, A].
    """
    count = tf.shape(overlaps)[1]
    kept = tf.minimum(count, tf.shape(overlaps)[2])
    values, boxes = tf.math.top_k(overlaps, kept)  # [N, m, kept]
    numbers = tf.range(count)

    def pair(step, values, forced):
        flat = tf.reshape(values, [-1, count * kept])
        best = tf.argmax(flat, axis=1, output_type=tf.int32)
        found = tf.reduce_max(flat, axis=1) > 0
        box = tf.gather(tf.reshape(boxes, [-1, count * kept]), best, batch_dims=1)
        own = (numbers == (best // kept)[:, tf.newaxis]) & found[:, tf.newaxis]
        forced = tf.where(own, box[:, tf.newaxis], forced)
        gone = own[..., tf.newaxis] | (boxes == box[:, tf.newaxis, tf.newaxis])
        left = tf.where(gone, 0.0, values)
        # Broadcasting forgets the sizes, which a loop's variables must keep.
        left.set_shape(shape)
        forced.set_shape(shape[:2])
        return step + 1, left, forced

    shape = values.shape
    start = (tf.constant(0), values, tf.fill(tf.shape(values)[:2], -1))
    *_, forced = tf.while_loop(
        lambda step, *_: step < count, pair, start, parallel_iterations=1
    )
    return forced
