"""Training targets of detection networks."""

from __future__ import annotations

import tensorflow as tf

from picanet_tf.detection.default_boxes import default_boxes, encode, iou, to_corners

MATCHED_OVERLAP = 0.5


def encode_targets(objects, outputs: dict, image_size: int) -> dict:
    """Encodes objects as targets of a detection network's outputs.

    Args:
        objects: float [N, M, 6]: ymin, xmin, ymax, xmax relative to the image, label
            1..20, difficult; rows with label 0 are padding. As in SSD, difficult
            objects are trained on like others.
        outputs: {output name: tensor or other object with a shape}, such as
            `model.output`.
        image_size: side of the network's input, in pixels.

    Returns:
        {"locations": float32 [N, A, 5], the offset to the matched object and 1, or
        zeros; "scores": int32 [N, A], the object's label, or 0}. Attention outputs have
        no target.

    Raises:
        ValueError: if the outputs do not belong to a network with this input size.
    """
    defaults = default_boxes(image_size)
    if outputs["locations"].shape[1] != len(defaults):
        raise ValueError(
            f"A network with image_size={image_size} has {len(defaults)} locations. "
            f"Received: {outputs['locations'].shape}"
        )
    objects = tf.cast(objects, tf.float32)
    matches = match(objects, to_corners(defaults))
    positive = matches >= 0
    own = tf.gather(objects, tf.maximum(matches, 0), axis=1, batch_dims=1)
    labels = tf.where(positive, tf.cast(tf.round(own[..., 4]), tf.int32), 0)
    # The default box itself where there is no object, as padding has no logarithm.
    positive = positive[..., tf.newaxis]
    boxes = tf.where(positive, own[..., :4], to_corners(defaults))
    offsets = tf.where(positive, encode(boxes, defaults), 0.0)
    locations = tf.concat([offsets, tf.cast(positive, tf.float32)], axis=-1)
    return {"locations": locations, "scores": labels}


def match(objects, corners):
    """Matches default boxes with objects.

    First, each object is matched with the free box of highest IoU, in descending order
    of IoU over all pairs. Then each remaining box is matched with the object of highest
    IoU, if that is at least `MATCHED_OVERLAP`.

    Args:
        objects: float32 [N, M, 6], see `encode_targets`.
        corners: the default boxes, float32 [A, 4].

    Returns:
        int32 [N, A], the index of the object, or -1.

    Reference: SSD, Sec. 2.2; the release's `MatchBBox`.
    """
    # Trims the padding to the largest number of objects in the batch, at least one.
    real = objects[..., 4] > 0
    rows = tf.range(1, tf.shape(real)[1] + 1)
    fullest = tf.maximum(tf.reduce_max(tf.where(real, rows, 0)), 1)
    objects, real = objects[:, :fullest], real[:, :fullest]
    overlaps = iou(objects[..., :4], corners)  # [N, m, A]
    overlaps = tf.where(real[..., tf.newaxis], overlaps, 0.0)
    nearest = tf.argmax(overlaps, axis=1, output_type=tf.int32)
    enough = tf.reduce_max(overlaps, axis=1) >= MATCHED_OVERLAP
    matches = tf.where(enough, nearest, -1)
    # [N, m, A]: each object is forced on one box, and each box on at most one object.
    taken = tf.one_hot(_force_matches(overlaps), tf.shape(overlaps)[2]) > 0
    numbers = tf.range(fullest)[:, tf.newaxis]
    forced = tf.reduce_max(tf.where(taken, numbers, -1), axis=1)
    return tf.where(forced >= 0, forced, matches)


def _force_matches(overlaps):
    """Returns the box forced on each object: int32 [N, m], or -1 without any overlap.

    With m objects, one of an object's m best boxes is always free, so only these are
    considered.

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
        # Broadcasting loses the static shapes, which loop variables must keep.
        left.set_shape(shape)
        forced.set_shape(shape[:2])
        return step + 1, left, forced

    shape = values.shape
    start = (tf.constant(0), values, tf.fill(tf.shape(values)[:2], -1))
    *_, forced = tf.while_loop(
        lambda step, *_: step < count, pair, start, parallel_iterations=1
    )
    return forced
