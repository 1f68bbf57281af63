"""Mean average precision by VOC 2007's eleven points, and by VOC 2010's area.

Boxes are ymin, xmin, ymax, xmax in pixels from edge to edge, 0..H and 0..W. VOC's
devkit numbers pixels from 1 and counts both ends in, so that it adds 1 to a width; our
xmin is its xmin - 1 and our xmax its xmax, so that the areas are the same.

Imports no TensorFlow. COCO's numbers are in `coco`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from picanet_tf.core.voc import CLASSES, OBJECT_CLASSES


class Curve(NamedTuple):
    """One class: precision after each detection, from the highest score on.

    Attributes:
        scores, recall, precision: float64 [detections], of those that count.
        true_positive: bool [detections], those that found an object.
        objects: how many objects count.
    """

    scores: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    true_positive: np.ndarray
    objects: int


class DetectionScores(NamedTuple):
    """What a method reached on a set.

    Attributes:
        mean_ap: mean of `ap` over the classes that have an object that counts, 0..1;
            NaN where none has.
        mean_ap_area: as that, of `ap_area`.
        ap: float64 [20], VOC 2007's AP of each class; NaN without an object.
        ap_area: float64 [20], area under the precision that is made to fall (VOC 2010).
        curves: of each class.
        images, objects, difficult: how many.
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
    """Adds up the detections of all images.

    A detection is a true positive if, of all objects of its class in its image, the
    one that it overlaps most reaches `iou_threshold`, and no detection of a higher
    score has it. One that falls on a difficult object is neither a true nor a false
    positive, and difficult objects are not missed: as VOC's devkit has it.

    Args:
        iou_threshold: overlap from which an object counts as found.

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
        # Of each class: (score, true positive) of every detection that counts.
        self._found: list[list[tuple[float, bool]]] = [[] for _ in OBJECT_CLASSES]
        self._objects = np.zeros(len(OBJECT_CLASSES), np.int64)
        self._difficult = 0
        self._keys: set[str] = set()

    def update(self, key: str, detections, boxes, labels, difficult=None) -> None:
        """Adds an image.

        Args:
            key: its name; each image comes once.
            detections: `results.Detections`, or what has its `boxes`, `scores` and
                `classes`; in any order.
            boxes: float [n, 4], the true ones.
            labels: integers [n], 1..20; 0 is padding.
            difficult: [n], true where an object is not to be counted; none by default.

        Raises:
            ValueError: the image came before; shapes that do not fit, a class that is
                none, a score or a corner that is no number, a true box without area.
        """
        if key in self._keys:
            raise ValueError(f"The image {key!r} came before")
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
        """Of all images so far."""
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
    """One image, one class: (score, true positive) of each detection that counts.

    Args:
        boxes, scores: [m, 4] and [m], the detections.
        objects, difficult: [n, 4] and bool [n].
        threshold: least IoU.
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
    """Precision and recall over detections of all images.

    Args:
        found: (score, true positive) of each detection; equal scores keep their order.
        objects: how many there are to find.
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
    """VOC 2007: mean of the highest precision at recall 0, 0.1, ... 1 or more."""
    if not found.objects:
        return float("nan")
    hits = np.cumsum(found.true_positive)
    # In whole numbers: 0.1 * 3 is more than 3 / 10.
    reached = [found.precision[10 * hits >= k * found.objects] for k in range(11)]
    return float(np.mean([part.max(initial=0.0) for part in reached]))


def average_precision_area(found: Curve) -> float:
    """VOC 2010 and later: the area under the precision, which is made to fall."""
    if not found.objects:
        return float("nan")
    falling = np.maximum.accumulate(found.precision[::-1])[::-1]
    return float(np.sum(falling[found.true_positive]) / found.objects)


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union: [m, 4] and [n, 4] -> float64 [m, n]."""
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
        raise ValueError("A box or a score of a detection is no number")
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
            "Each object needs a box, a label and a difficult. Received: "
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
            f"A {what} has the class {wrong[0]}; classes are 1..{CLASSES - 1}"
        )
