"""What was scored, as tables, Markdown, JSON, CSV and curves. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

from picanet_tf.detection.classes import OBJECT_CLASSES
from picanet_tf.detection.coco import INSTALL
from picanet_tf.detection.evaluation import Evaluation
from picanet_tf.reporting import (
    aligned,
    by_dataset,
    class_report,
    csv_text,
    examples_panel,
    figure,
    folder_name,
    line_style,
    overview,
    percent,
    versions,
    without_nan,
)

CONVENTIONS = """\
mean_ap       average precision of each class by VOC 2007's eleven points, at an overlap
              (IoU) of 0.5, averaged over the classes that have an object; difficult
              objects are neither missed nor wrong
mean_ap_area  as that, by the area under precision over recall (VOC 2010 and later)
coco_*        pycocotools: mean over overlaps of 0.50 to 0.95; _50 and _75 at one; by
              area below 32², below 96² and above; recall with 100 detections an image.
              Difficult objects are its crowds
              Boxes are scored in pixels of the image, from edge to edge.
"""
# Table 4, on VOC 2007's 4,952 test images.
TABLE_4 = {
    "SSD300": 0.772,
    "478LC_910ReNet": 0.775,
    "478AC_910GAP": 0.779,
    "478LAP_910GAP": 0.780,
}
PAPER_SET, PAPER_IMAGES = "VOC2007 test", 4952
_PACKAGES = ("tensorflow", "keras", "numpy", "pycocotools")


@dataclasses.dataclass(frozen=True)
class Result:
    """One method on one data set.

    Attributes:
        method, dataset: names.
        scores: `mean_ap`, `mean_ap_area`, and COCO's where there are any, 0..1.
        ap, ap_area: of each class, 0..1; NaN of one without an object.
        objects: of each class, how many count.
        difficult: how many objects do not count.
        images: how many.
        seconds: wall time, reading and predicting included.
        paper: mean AP that the paper reports for it, on all of the set; or None.
        details: of the method, such as its run directory.
        data: of the data set, such as its fingerprint.
    """

    method: str
    dataset: str
    scores: Mapping[str, float]
    ap: Mapping[str, float]
    ap_area: Mapping[str, float]
    objects: Mapping[str, int]
    difficult: int
    images: int
    seconds: float
    paper: float | None
    details: Mapping
    data: Mapping


def summarize(evaluation: Evaluation, method, data, seconds=math.nan) -> Result:
    """What is kept of an evaluation once its pictures are drawn."""
    scores = evaluation.scores
    counts = [curve.objects for curve in scores.curves]
    return Result(
        method=method.name,
        dataset=data.name,
        scores={
            "mean_ap": scores.mean_ap,
            "mean_ap_area": scores.mean_ap_area,
            **evaluation.coco,
        },
        ap=dict(zip(OBJECT_CLASSES, scores.ap.tolist(), strict=True)),
        ap_area=dict(zip(OBJECT_CLASSES, scores.ap_area.tolist(), strict=True)),
        objects=dict(zip(OBJECT_CLASSES, counts, strict=True)),
        difficult=scores.difficult,
        images=scores.images,
        seconds=seconds,
        paper=TABLE_4.get(method.variant or "") if data.name == PAPER_SET else None,
        details=method.facts,
        data=data.facts,
    )


def paper_variant(experiment) -> str:
    """The column of Table 4 that an `Experiment` belongs to."""
    return experiment.variant


def table(results: Sequence[Result]) -> str:
    """All scores of one data set's methods, per class, for a terminal."""
    notes = [
        f"{r.method}: the paper has mean AP {r.paper:.3f} on all {PAPER_IMAGES:,}"
        for r in results
        if r.paper is not None
    ]
    if not any(name.startswith("coco") for name in results[0].scores):
        notes.append(f"COCO's scores are left out: {INSTALL}")
    return "\n".join([_heading(results[0]), aligned(_rows(results)), *notes]) + "\n"


def comparison(results: Sequence[Result]) -> str:
    """Mean AP, methods down and data sets across."""
    return aligned(_overview(results)) + "\n"


def markdown(results: Sequence[Result]) -> str:
    """The whole report for people."""
    return class_report(
        results, "Detection scores", _overview(results), _heading, _rows, CONVENTIONS
    )


def to_json(results: Sequence[Result]) -> dict:
    """The whole report for programs: `["datasets"][name]["methods"][method]`."""
    return without_nan(
        {
            "versions": versions(_PACKAGES),
            "conventions": CONVENTIONS.splitlines(),
            "datasets": {
                name: {
                    "images": group[0].images,
                    "objects": group[0].objects,
                    "difficult": group[0].difficult,
                    **group[0].data,
                    "method": group[0].method,
                    **group[0].scores,
                    "methods": {r.method: _method_json(r) for r in group},
                }
                for name, group in by_dataset(results).items()
            },
        }
    )


def texts(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """Tables as (file name, CSV): images, classes, and each class's curve."""
    head = ("name", "ap", "objects", "detections", "right")
    rows = [(row.name, _number(row.ap), *row[2:]) for row in evaluation.rows]
    yield "images.csv", csv_text([head, *rows])
    scores = evaluation.scores
    rows = [
        (name, _number(ap), _number(area), curve.objects, len(curve.right),
         int(curve.right.sum()))
        for name, ap, area, curve in zip(
            OBJECT_CLASSES, scores.ap, scores.ap_area, scores.curves, strict=True
        )
    ]  # fmt: skip
    head = ("class", "ap", "ap_area", "objects", "detections", "right")
    yield "classes.csv", csv_text([head, *rows])
    rows = [
        (name, *map(_number, point))
        for name, curve in zip(OBJECT_CLASSES, scores.curves, strict=True)
        for point in zip(curve.scores, curve.recall, curve.precision, strict=True)
    ]
    head = ("class", "score", "recall", "precision")
    yield "curves.csv", csv_text([head, *rows])


def panels(found: Mapping[str, Evaluation]) -> Iterator[tuple]:
    """Pictures as (file name, column titles, rows of (label, pictures)).

    `METHOD/worst.png` of each method, and `examples.png` of all of them side by side.
    """
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
    yield from examples_panel(found)


def figures(found: Mapping[str, Evaluation], title: str) -> Iterator[tuple]:
    """Curves as (file name, matplotlib `Figure`), a line a class."""
    for name, evaluation in found.items():
        drawing, axes = figure(f"{title}, {name}", "recall", "precision")
        scores = evaluation.scores
        curves = zip(OBJECT_CLASSES, scores.ap, scores.curves, strict=True)
        for number, (label, ap, curve) in enumerate(curves):
            if curve.objects:
                # From recall 0, so that a class with one detection has a line too.
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


def _method_json(result: Result) -> dict:
    return {
        **result.scores,
        "ap": result.ap,
        "ap_area": result.ap_area,
        "paper_mean_ap": result.paper,
        "seconds": round(result.seconds, 2),
        "details": dict(result.details),
    }


def _heading(result: Result) -> str:
    objects = sum(result.objects.values())
    return (
        f"{result.dataset}, {result.images:,} images, {objects:,} objects, and "
        f"{result.difficult:,} difficult ones"
    )


def _rows(results: Sequence[Result]) -> list[list[str]]:
    rows = [["class", "objects", *(result.method for result in results)]]
    for name in OBJECT_CLASSES:
        scores = (percent(result.ap[name]) for result in results)
        rows.append([name, str(results[0].objects[name]), *scores])
    for name in results[0].scores:
        scores = (percent(result.scores[name]) for result in results)
        rows.append([name, "", *scores])
    return rows


def _overview(results: Sequence[Result]) -> list[list[str]]:
    return overview(results, "mean AP", "mean_ap")


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"
