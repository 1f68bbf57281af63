"""What was scored, as tables, Markdown, JSON and CSV. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

from picanet_tf.reporting import (
    aligned,
    by_dataset,
    class_report,
    csv_text,
    examples_panel,
    overview,
    percent,
    versions,
)
from picanet_tf.segmentation.classes import VOC_CLASSES
from picanet_tf.segmentation.evaluation import Evaluation

CONVENTIONS = """\
mean_iou      intersection over union of each class, from one confusion matrix over
              all pixels of the set, averaged over the classes that some pixel has or
              is taken for (21 on all of VOC); keras.metrics.MeanIoU
pixel_accuracy  share of the pixels that got their class
              Class maps are scored at the image's size; 255 counts nowhere.
"""
# Table 3, on VOC 2012's 1,449 validation images.
TABLE_3 = {
    "DeepLab": 0.6896,
    "DeepLab_LC": 0.6890,
    "DeepLab_AC": 0.6933,
    "DeepLab_LAP": 0.7012,
    "UNet": 0.6860,
    "6ReNet_543LC": 0.7212,
    "6GAP_543AC": 0.7278,
    "6GAP_543LAP": 0.7312,
}
PAPER_SET, PAPER_IMAGES = "VOC2012 val", 1449
_PACKAGES = ("tensorflow", "keras", "numpy")


@dataclasses.dataclass(frozen=True)
class Result:
    """One method on one data set.

    Attributes:
        method, dataset: names.
        scores: `mean_iou` and `pixel_accuracy`, 0..1.
        iou: of each class, 0..1; NaN where nothing has it or is taken for it.
        confusion: pixels by [true class][predicted class].
        images: how many.
        seconds: wall time, reading and predicting included.
        paper: mean IoU that the paper reports for it, on all of the set; or None.
        details: of the method, such as its run directory.
        data: of the data set, such as its fingerprint.
    """

    method: str
    dataset: str
    scores: Mapping[str, float]
    iou: Mapping[str, float]
    confusion: Sequence[Sequence[int]]
    images: int
    seconds: float
    paper: float | None
    details: Mapping
    data: Mapping


def summarize(evaluation: Evaluation, method, data, seconds=math.nan) -> Result:
    """What is kept of an evaluation once its pictures are drawn."""
    scores = evaluation.scores
    return Result(
        method=method.name,
        dataset=data.name,
        scores={
            "mean_iou": scores.mean_iou,
            "pixel_accuracy": scores.pixel_accuracy,
        },
        iou=dict(zip(VOC_CLASSES, scores.iou.tolist(), strict=True)),
        confusion=scores.confusion.tolist(),
        images=scores.images,
        seconds=seconds,
        paper=TABLE_3.get(method.variant or "") if data.name == PAPER_SET else None,
        details=method.facts,
        data=data.facts,
    )


def paper_variant(experiment) -> str:
    """The column of Table 3 that an `Experiment` belongs to."""
    return experiment.variant


def table(results: Sequence[Result]) -> str:
    """All scores of one data set's methods, per class, for a terminal."""
    notes = [
        f"{r.method}: the paper has mean IoU {r.paper:.4f} on all {PAPER_IMAGES:,}"
        for r in results
        if r.paper is not None
    ]
    return "\n".join([_heading(results[0]), aligned(_rows(results)), *notes]) + "\n"


def comparison(results: Sequence[Result]) -> str:
    """Mean IoU, methods down and data sets across."""
    return aligned(_overview(results)) + "\n"


def markdown(results: Sequence[Result]) -> str:
    """The whole report for people."""
    return class_report(
        results, "Segmentation scores", _overview(results), _heading, _rows, CONVENTIONS
    )


def to_json(results: Sequence[Result]) -> dict:
    """The whole report for programs: `["datasets"][name]["methods"][method]`."""
    return {
        "versions": versions(_PACKAGES),
        "conventions": CONVENTIONS.splitlines(),
        "datasets": {
            name: {
                "images": group[0].images,
                **group[0].data,
                "method": group[0].method,
                **group[0].scores,
                "methods": {r.method: _method_json(r) for r in group},
            }
            for name, group in by_dataset(results).items()
        },
    }


def texts(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """Tables as (file name, CSV): each image's accuracy, and the confusion matrix."""
    rows = [(name, f"{value:.6f}") for name, value in evaluation.rows]
    yield "images.csv", csv_text([("name", "pixel_accuracy"), *rows])
    matrix = evaluation.scores.confusion.tolist()
    rows = [(name, *row) for name, row in zip(VOC_CLASSES, matrix, strict=True)]
    yield "confusion.csv", csv_text([("true class", *VOC_CLASSES), *rows])


def panels(found: Mapping[str, Evaluation]) -> Iterator[tuple]:
    """The examples as (file name, column titles, rows of (label, pictures))."""
    yield from examples_panel(found)


def figures(found: Mapping[str, Evaluation], title: str) -> Iterator[tuple]:
    """Curves: there are none."""
    yield from ()


def _method_json(result: Result) -> dict:
    return {
        **result.scores,
        # JSON has no NaN.
        "iou": {k: None if math.isnan(v) else v for k, v in result.iou.items()},
        "confusion": result.confusion,
        "paper_mean_iou": result.paper,
        "seconds": round(result.seconds, 2),
        "details": dict(result.details),
    }


def _heading(result: Result) -> str:
    return f"{result.dataset}, {result.images:,} images"


def _rows(results: Sequence[Result]) -> list[list[str]]:
    rows = [["class", *(result.method for result in results)]]
    for name in VOC_CLASSES:
        rows.append([name, *(percent(result.iou[name]) for result in results)])
    for name in results[0].scores:
        rows.append([name, *(percent(result.scores[name]) for result in results)])
    return rows


def _overview(results: Sequence[Result]) -> list[list[str]]:
    return overview(results, "mean IoU", "mean_iou")
