"""Formats detection scores for the report. Does not import TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from picanet_tf.core.voc import OBJECT_CLASSES
from picanet_tf.detection.coco import INSTALL
from picanet_tf.detection.evaluation import Evaluation
from picanet_tf.evaluation.class_reports import ClassReport, Scores
from picanet_tf.evaluation.curves import line_style, new_figure
from picanet_tf.evaluation.tables import csv_text, folder_name

CONVENTIONS = """\
mean_ap       11-point average precision of each class (VOC 2007) at an IoU of 0.5,
              averaged over the classes that have objects; difficult objects count
              neither as missed nor as false positives
mean_ap_area  as mean_ap, but the area under the precision-recall curve (VOC 2010)
coco_*        pycocotools: mean over IoUs of 0.50 to 0.95; _50 and _75 at one IoU; by
              area below 32², below 96² and above; recall with 100 detections per
              image. Difficult objects are passed as crowds
              Boxes are scored in pixels of the image, from edge to edge.
"""
TABLE_4 = {
    "SSD300": 0.772,
    "478LC_910ReNet": 0.775,
    "478AC_910GAP": 0.779,
    "478LAP_910GAP": 0.780,
}


def texts(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """Yields (file name, CSV) for images, classes, and the curve of each class."""
    head = ("name", "ap", "objects", "detections", "true_positives")
    rows = [(row.name, _number(row.ap), *row[2:]) for row in evaluation.rows]
    yield "images.csv", csv_text([head, *rows])
    scores = evaluation.scores
    rows = [
        (name, _number(ap), _number(area), curve.objects, len(curve.true_positive),
         int(curve.true_positive.sum()))
        for name, ap, area, curve in zip(
            OBJECT_CLASSES, scores.ap, scores.ap_area, scores.curves, strict=True
        )
    ]  # fmt: skip
    head = ("class", "ap", "ap_area", "objects", "detections", "true_positives")
    yield "classes.csv", csv_text([head, *rows])
    rows = [
        (name, *map(_number, point))
        for name, curve in zip(OBJECT_CLASSES, scores.curves, strict=True)
        for point in zip(curve.scores, curve.recall, curve.precision, strict=True)
    ]
    head = ("class", "score", "recall", "precision")
    yield "curves.csv", csv_text([head, *rows])


def worst_panels(found: Mapping[str, Evaluation]) -> Iterator[tuple]:
    """Yields `METHOD/worst.png` of each method, as `Scoring.panels`."""
    for name, evaluation in found.items():
        rows = [
            (
                f"{example.name}\nAP {example.score:.3f}",
                [example.image, example.truth, example.prediction],
            )
            for example in evaluation.worst
        ]
        if rows:
            columns = ["image", "ground truth", name]
            yield f"{folder_name(name)}/worst.png", columns, rows


def figures(found: Mapping[str, Evaluation], title: str) -> Iterator[tuple]:
    """Yields (file name, matplotlib `Figure`) with one curve per class."""
    for name, evaluation in found.items():
        drawing, axes = new_figure(f"{title}, {name}", "recall", "precision")
        scores = evaluation.scores
        curves = zip(OBJECT_CLASSES, scores.ap, scores.curves, strict=True)
        for number, (label, ap, curve) in enumerate(curves):
            if curve.objects:
                # From recall 0, so that a class with one detection also has a line.
                recall = [0.0, *curve.recall]
                precision = [*curve.precision[:1], *curve.precision] or [0.0]
                axes.plot(recall, precision, label=f"{label} {ap:.3f}",
                          **line_style(number))  # fmt: skip
        axes.set_ylim(0, 1.02)
        drawing.set_figwidth(7.2)
        if any(curve.objects for curve in scores.curves):
            axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8,
                        title=f"AP, mean {scores.mean_ap:.3f}")  # fmt: skip
        yield f"{folder_name(name)}/pr_curve.png", drawing


class DetectionReport(ClassReport):
    """Reports mean AP, the AP of each class, and COCO's scores."""

    title = "Detection scores"
    conventions = CONVENTIONS
    packages = ("pycocotools",)
    mean = "mean_ap"
    mean_in_words = "mean AP"
    paper = TABLE_4
    paper_set = "VOC2007 test"
    paper_images = 4952
    paper_digits = 3

    def scores_of(self, evaluation: Evaluation) -> Scores:
        scores = evaluation.scores
        ap = _by_class(scores.ap.tolist())
        objects = _by_class([curve.objects for curve in scores.curves])
        return Scores(
            means={
                "mean_ap": scores.mean_ap,
                "mean_ap_area": scores.mean_ap_area,
                **evaluation.coco,
            },
            by_class=ap,
            more={"ap": ap, "ap_area": _by_class(scores.ap_area.tolist())},
            size=f"{scores.images:,} images, {sum(objects.values()):,} objects, and "
            f"{scores.difficult:,} difficult ones",
            counts={
                "images": scores.images,
                "objects": objects,
                "difficult": scores.difficult,
            },
            columns={"objects": objects},
            notes=() if evaluation.coco else [f"COCO scores are missing: {INSTALL}"],
        )


def _by_class(values: Sequence) -> dict:
    return dict(zip(OBJECT_CLASSES, values, strict=True))


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"
