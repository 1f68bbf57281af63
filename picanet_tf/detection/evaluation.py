"""Scores a method on a data set by average precision over all detections.

Samples and detections are passed as iterables; files are handled elsewhere.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.voc import CLASSES
from picanet_tf.detection import metrics
from picanet_tf.detection.results import Detections
from picanet_tf.evaluation.samples import Example, shrink_picture

SHOWN_SCORE = 0.3  # minimum score of detections in figures
WORST = 6  # number of images in `worst.png`


class Truth(NamedTuple):
    """The objects of an image.

    Attributes:
        boxes: float32 [n, 4], ymin, xmin, ymax, xmax in pixels, from edge to edge.
        labels: int64 [n], 1..20.
        difficult: bool [n], True for objects that do not count.
        size: (height, width) of the image.
    """

    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray
    size: tuple[int, int]


class Row(NamedTuple):
    """The result for one image.

    Attributes:
        name: name of the image.
        ap: area under the precision-recall curve of this image, with all classes in one
            ranking; NaN if no object counts.
        objects: number of objects that count.
        detections: number of detections.
        true_positives: number of true positives.
    """

    name: str
    ap: float
    objects: int
    detections: int
    true_positives: int


class Evaluation(NamedTuple):
    """The results of a method on a data set.

    Attributes:
        scores: `metrics.DetectionScores` of the whole set.
        coco: {name: COCO score}; empty without pycocotools.
        rows: result for each image.
        picked: the images requested by number.
        worst: the images with the lowest AP, lowest first.
    """

    scores: metrics.DetectionScores
    coco: Mapping[str, float]
    rows: tuple[Row, ...]
    picked: tuple[Example, ...]
    worst: tuple[Example, ...]


def evaluate(predicted: Iterable[tuple], *, pick: Collection[int] = ()) -> Evaluation:
    """Scores detections against the ground truth.

    Args:
        predicted: (sample, `Detections`); the sample's `truth` is a `Truth`.
        pick: indices (from 0) of images to keep.

    Raises:
        PicanetError: if there are no images, or detections are invalid; the message
            names the image.
    """
    voc, coco = metrics.DetectionMetrics(), _coco_metrics()
    rows: list[Row] = []
    picked: list[Example] = []
    worst: list[tuple[float, int, Example]] = []
    for number, (sample, detections) in enumerate(predicted):
        truth = sample.truth
        objects = (truth.boxes, truth.labels, truth.difficult)
        try:
            voc.update(sample.name, detections, *objects)
        except ValueError as error:
            raise PicanetError(f"{sample.name}: {error}") from error
        if coco is not None:
            coco.update(detections, *objects)
        row = _row(sample.name, detections, truth)
        rows.append(row)
        among_worst = not math.isnan(row.ap) and (
            len(worst) < WORST or -row.ap > worst[0][0]
        )
        if number in pick or among_worst:
            example = _example(sample, detections, row.ap)
            if number in pick:
                picked.append(example)
            if among_worst:
                entry = (-row.ap, -number, example)
                push = heapq.heappush if len(worst) < WORST else heapq.heapreplace
                push(worst, entry)
    if not rows:
        raise PicanetError("There are no images to score")
    return Evaluation(
        voc.result(),
        coco.result() if coco is not None else {},
        tuple(rows),
        tuple(picked),
        tuple(example for *_, example in sorted(worst, reverse=True)),
    )


def truth_of(record: Mapping) -> Truth:
    """Converts the NumPy arrays of `data_pipeline.schema.decode_boxes_record`."""
    height, width = int(record["height"]), int(record["width"])
    objects = np.asarray(record["objects"])
    return Truth(
        objects[:, :4] * np.array([height, width, height, width], np.float32),
        objects[:, 4].astype(np.int64),
        objects[:, 5].astype(bool),
        (height, width),
    )


def whole_image(truth: Truth) -> Detections:
    """Returns the baseline that predicts every class with a box around the image."""
    labels = np.arange(1, CLASSES)
    box = np.array([0, 0, *truth.size], np.float32)
    return Detections(
        np.tile(box, (len(labels), 1)), np.ones(len(labels), np.float32), labels
    )


def _coco_metrics():
    from picanet_tf.detection.coco import CocoMetrics

    try:
        return CocoMetrics()
    except PicanetError:  # The report notes that the scores are missing.
        return None


def _row(name: str, detections, truth: Truth) -> Row:
    found: list[tuple[float, bool]] = []
    for label in np.unique(detections.classes):
        chosen, mine = detections.classes == label, truth.labels == label
        found += metrics.match(
            detections.boxes[chosen],
            detections.scores[chosen],
            truth.boxes[mine],
            truth.difficult[mine],
        )
    objects = int(np.count_nonzero(~truth.difficult))
    ap = metrics.average_precision_area(metrics.precision_recall_curve(found, objects))
    true_positives = sum(hit for _, hit in found)
    return Row(name, ap, objects, len(detections.scores), true_positives)


def _example(sample, detections: Detections, score: float) -> Example:
    from picanet_tf.detection.rendering import draw

    truth = sample.truth
    image = sample.image
    if image is None:
        image = np.zeros((*truth.size, 3), np.uint8)
    real = Detections(truth.boxes, np.ones(len(truth.labels), np.float32), truth.labels)
    return Example(
        sample.name,
        shrink_picture(image),
        shrink_picture(draw(image, real, SHOWN_SCORE)),
        shrink_picture(draw(image, detections, SHOWN_SCORE)),
        score,
    )
