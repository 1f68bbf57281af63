"""Mean average precision: 11-point (VOC 2007) and area under the curve (VOC 2010).

Boxes are ymin, xmin, ymax, xmax in pixels from edge to edge, 0..H and 0..W. VOC's
devkit counts pixels from 1 with both ends included, and adds 1 to widths; our xmin is
its xmin - 1 and our xmax its xmax, so that areas agree.

Does not import TensorFlow. COCO's scores are in `coco`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from picanet_tf.core.voc import CLASSES, OBJECT_CLASSES


class Curve(NamedTuple):
    """Precision-recall curve of one class, by descending score.

    Attributes:
        scores, recall, precision: float64 [detections], for the detections that count.
        true_positive: bool [detections].
        objects: number of objects that count.
    """

    scores: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    true_positive: np.ndarray
    objects: int


class DetectionScores(NamedTuple):
    """Scores of a set of images.

    Attributes:
        mean_ap: mean of `ap` over the classes with objects that count, 0..1; NaN if
            there are none.
        mean_ap_area: mean of `ap_area`, likewise.
        ap: float64 [20], VOC 2007's AP of each class; NaN without objects.
        ap_area: float64 [20], area under the monotone precision curve (VOC 2010).
        curves: precision-recall curve of each class.
        images, objects, difficult: numbers of each.
    """

    mean_ap: float
    mean_ap_area: float
    ap: np.ndarray
    ap_area: np.ndarray
    curves: tuple[Curve, ...]
    images: int
    objects: int
    difficult: int


class DetectionMetrics:
    """Accumulates the detections of all images.

    As in VOC's devkit, a detection is a true positive if its IoU with the object of its
    class that it overlaps most is at least `iou_threshold`, and no detection with a
    higher score matches that object. Detections that match a difficult object are
    neither true nor false positives, and difficult objects do not count as missed.

    Args:
        iou_threshold: minimum IoU of a match.

    Example:
        >>> metrics = DetectionMetrics()
        >>> metrics.update("000001", detections, boxes, labels, difficult)
        >>> metrics.result().mean_ap
        0.772
    """

    def __init__(self, iou_threshold: float = 0.5):
        if not 0 < iou_threshold <= 1:
            raise ValueError(
                "`iou_threshold` must be in (0, 1]. Received: "
                f"iou_threshold={iou_threshold}"
            )
        self._threshold = iou_threshold
        # For each class, (score, true positive) of every detection that counts.
        self._found: list[list[tuple[float, bool]]] = [[] for _ in OBJECT_CLASSES]
        self._objects = np.zeros(len(OBJECT_CLASSES), np.int64)
        self._difficult = 0
        self._keys: set[str] = set()

    def update(self, key: str, detections, boxes, labels, difficult=None) -> None:
        """Adds an image.

        Args:
            key: unique name of the image.
            detections: `results.Detections` or an object with the same `boxes`,
                `scores` and `classes`, in any order.
            boxes: ground truth boxes, float [n, 4].
            labels: integers [n], 1..20; 0 for padding.
            difficult: [n], True for objects that do not count; None for all False.

        Raises:
            ValueError: if the image was added before, shapes do not match, a class is
                invalid, a score or corner is not finite, or a true box has no area.
        """
        if key in self._keys:
            raise ValueError(f"The image {key!r} was already added")
        predicted = _check_detections(detections)
        truth = _check_objects(boxes, labels, difficult)
        self._keys.add(key)
        for label in range(1, CLASSES):
            mine = truth.labels == label
            skipped = truth.difficult[mine]
            self._objects[label - 1] += np.count_nonzero(~skipped)
            self._difficult += np.count_nonzero(skipped)
            chosen = predicted.classes == label
            if chosen.any():
                self._found[label - 1] += match(
                    predicted.boxes[chosen],
                    predicted.scores[chosen],
                    truth.boxes[mine],
                    skipped,
                    self._threshold,
                )

    def result(self) -> DetectionScores:
        """Returns the scores of all images so far."""
        curves = tuple(map(precision_recall_curve, self._found, self._objects.tolist()))
        ap = np.array([average_precision_11(each) for each in curves])
        ap_area = np.array([average_precision_area(each) for each in curves])
        return DetectionScores(
            _mean(ap),
            _mean(ap_area),
            ap,
            ap_area,
            curves,
            len(self._keys),
            int(self._objects.sum()),
            int(self._difficult),
        )


def match(
    boxes: np.ndarray,
    scores: np.ndarray,
    objects: np.ndarray,
    difficult: np.ndarray,
    threshold: float = 0.5,
) -> list[tuple[float, bool]]:
    """Matches the detections of one class in one image with its objects.

    Args:
        boxes, scores: [m, 4] and [m], the detections.
        objects, difficult: [n, 4] and bool [n], the ground truth.
        threshold: minimum IoU of a match.

    Returns:
        (score, true positive) of each detection that counts.
    """
    order = np.argsort(-scores, kind="stable")
    overlaps = iou(boxes, objects)
    taken = np.zeros(len(objects), bool)
    found = []
    for number in order:
        best = int(overlaps[number].argmax()) if len(objects) else -1
        if best < 0 or overlaps[number, best] < threshold:
            found.append((float(scores[number]), False))
        elif not difficult[best]:
            found.append((float(scores[number]), not taken[best]))
            taken[best] = True
    return found


def precision_recall_curve(found: Sequence[tuple[float, bool]], objects: int) -> Curve:
    """Computes precision and recall over the detections of all images.

    Args:
        found: (score, true positive) of each detection; equal scores keep their order.
        objects: number of objects that count.
    """
    scores = np.array([score for score, _ in found], np.float64)
    true_positive = np.array([hit for _, hit in found], bool)
    order = np.argsort(-scores, kind="stable")
    true_positive = true_positive[order]
    hits = np.cumsum(true_positive)
    recall = hits / objects if objects else np.zeros(len(hits))
    return Curve(
        scores[order],
        recall,
        hits / np.arange(1, len(hits) + 1),
        true_positive,
        objects,
    )


def average_precision_11(found: Curve) -> float:
    """Returns VOC 2007's AP: the mean highest precision at recall >= 0, 0.1, ..., 1."""
    if not found.objects:
        return float("nan")
    hits = np.cumsum(found.true_positive)
    # In integers, because 0.1 * 3 > 3 / 10.
    reached = [found.precision[10 * hits >= k * found.objects] for k in range(11)]
    return float(np.mean([part.max(initial=0.0) for part in reached]))


def average_precision_area(found: Curve) -> float:
    """Returns AP of VOC 2010 and later: the area under the monotone precision curve."""
    if not found.objects:
        return float("nan")
    falling = np.maximum.accumulate(found.precision[::-1])[::-1]
    return float(np.sum(falling[found.true_positive]) / found.objects)


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Computes intersection over union: [m, 4] and [n, 4] -> float64 [m, n]."""
    boxes = np.asarray(boxes, np.float64)[:, np.newaxis]
    others = np.asarray(others, np.float64)[np.newaxis]
    sides = np.minimum(boxes[..., 2:], others[..., 2:]) - np.maximum(
        boxes[..., :2], others[..., :2]
    )
    common = np.prod(np.maximum(sides, 0.0), axis=-1)
    union = _areas(boxes) + _areas(others) - common
    return np.divide(common, union, out=np.zeros_like(union), where=union > 0)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return np.prod(np.maximum(boxes[..., 2:] - boxes[..., :2], 0.0), axis=-1)


def _mean(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")


class _Predicted(NamedTuple):
    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


class _Truth(NamedTuple):
    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray


def _check_detections(detections) -> _Predicted:
    boxes = np.asarray(detections.boxes, np.float64)
    scores = np.asarray(detections.scores, np.float64)
    classes = np.asarray(detections.classes)
    count = len(scores)
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    if not (boxes.shape == (count, 4) and scores.shape == classes.shape == (count,)):
        raise ValueError(
            "Detections must have boxes [n, 4], scores [n] and classes [n]. Received: "
            f"{boxes.shape}, {scores.shape} and {classes.shape}"
        )
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise ValueError("A box or score of a detection is not finite")
    _check_labels("detection", classes)
    return _Predicted(boxes, scores, classes)


def _check_objects(boxes, labels, difficult) -> _Truth:
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    labels = np.asarray(labels).ravel()
    if difficult is None:
        difficult = np.zeros(len(labels), bool)
    difficult = np.asarray(difficult).astype(bool).ravel()
    if not len(boxes) == len(labels) == len(difficult):
        raise ValueError(
            "Each object needs a box, a label and a `difficult` flag. Received: "
            f"{len(boxes)}, {len(labels)} and {len(difficult)}"
        )
    kept = labels != 0
    boxes, labels, difficult = boxes[kept], labels[kept], difficult[kept]
    _check_labels("true object", labels)
    if not (boxes[:, 2:] > boxes[:, :2]).all():
        raise ValueError("A true box has no area")
    return _Truth(boxes, labels, difficult)


def _check_labels(what: str, labels: np.ndarray) -> None:
    wrong = labels[(labels < 1) | (labels >= CLASSES)]
    if wrong.size:
        raise ValueError(
            f"A {what} has class {wrong[0]}; classes must be in 1..{CLASSES - 1}"
        )
