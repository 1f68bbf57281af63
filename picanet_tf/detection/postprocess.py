"""Converts a network's outputs to boxes, in TensorFlow."""

from __future__ import annotations

import tensorflow as tf

from picanet_tf.detection.decode import (
    CANDIDATES,
    IOU_THRESHOLD,
    SCORE_THRESHOLD,
    TOP,
)
from picanet_tf.detection.default_boxes import decode, default_boxes


def detections(
    locations,
    scores,
    image_size: int,
    *,
    score_threshold: float = SCORE_THRESHOLD,
    iou_threshold: float = IOU_THRESHOLD,
    top: int = TOP,
) -> dict:
    """Decodes boxes and applies non-maximum suppression.

    As in SSD's release, the `CANDIDATES` highest-scoring boxes of each class are
    considered.

    Args:
        locations: offsets of `default_boxes.encode`, float [N, A, 4].
        scores: logits, float [N, A, 21], background first.
        image_size: side of the network's input, in pixels.
        score_threshold: boxes with lower scores are dropped.
        iou_threshold: of two boxes of a class with a larger IoU, one is dropped.
        top: maximum number of boxes per image, and before that, per class.

    Returns:
        {"boxes": float32 [N, top, 4], ymin, xmin, ymax, xmax relative to the image,
        clipped to it; "scores": float32 [N, top], descending; "classes": int32
        [N, top], 1..20, or 0 for padding; "count": int32 [N]}.
    """
    boxes = decode(tf.cast(locations, tf.float32), default_boxes(image_size))
    probabilities = tf.nn.softmax(tf.cast(scores, tf.float32), axis=-1)[..., 1:]
    probabilities = _keep_top(probabilities, CANDIDATES)
    found = tf.image.combined_non_max_suppression(
        boxes[:, :, tf.newaxis],
        probabilities,
        max_output_size_per_class=top,
        max_total_size=top,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        clip_boxes=True,
    )
    count = found.valid_detections
    valid = tf.range(top) < count[:, tf.newaxis]
    classes = tf.where(valid, tf.cast(found.nmsed_classes, tf.int32) + 1, 0)
    return {
        "boxes": found.nmsed_boxes,
        "scores": found.nmsed_scores,
        "classes": classes,
        "count": count,
    }


def _keep_top(probabilities, count: int):
    """Sets all but the `count` highest values of each class to 0: [N, A, classes]."""
    by_class = tf.transpose(probabilities, [0, 2, 1])
    count = min(count, by_class.shape[-1])
    lowest = tf.math.top_k(by_class, count).values[..., -1]
    kept = probabilities >= lowest[:, tf.newaxis]
    return tf.where(kept, probabilities, 0.0)
