"""Formats saliency scores as tables, Markdown, JSON and CSV. Writes no files.

Does not import TensorFlow.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from picanet_tf.evaluation.bootstrap import RESAMPLES, interval
from picanet_tf.evaluation.reports import Report
from picanet_tf.evaluation.tables import (
    align_columns,
    by_dataset,
    csv_text,
    markdown_table,
)
from picanet_tf.saliency import reference
from picanet_tf.saliency.evaluation import Evaluation
from picanet_tf.saliency.intervals import draw_scores
from picanet_tf.saliency.metrics import ImageScores
from picanet_tf.saliency.reference import PaperScore
from picanet_tf.tasks.registry import get_spec

# Printed by --help and in each report.
CONVENTIONS = """\
max_f         as in the paper: precision and recall averaged over the images at each
              of 256 thresholds, then F with beta^2 = 0.3, then the maximum
max_mean_f    as in PySODMetrics: F of each image averaged over the images at each
              threshold, then the maximum; typically 0.03-0.04 lower than max_f
mean_f        the mean of that curve; adaptive_f: F at twice the map's mean
mae           mean absolute error, lower is better
s_measure     structure measure, alpha 0.5
*_e           enhanced-alignment measure, as for F; weighted_f: beta^2 = 1
Ground truth  is foreground above 128 of 255. Maps of a different size are resized to
              it bilinearly; the report gives their number.
Maps          are min-max normalized to 0..1, as is common in the field, unless
              --nonormalize. Where no pixel reaches a threshold, precision is 0.
No object     An image with an empty ground truth counts for MAE, S and E only;
              PySODMetrics gives it F = 0. The report gives the number of such
              images and their MAE.
Intervals     95%, bootstrap over images (1,000 draws), paired for the difference of
              two methods. They do not cover the variance between trainings.
"""

# The columns of Tables 1 and 2.
_PAPER = {"max_f": "max F", "s_measure": "S", "mae": "MAE"}


@dataclasses.dataclass(frozen=True)
class Result:
    """One method on one data set.

    Attributes:
        method, dataset: names.
        scores: {name: mean over the images}.
        images: number of images.
        empty: number of images with an empty mask.
        empty_mae: mean MAE of the latter; NaN if there are none or it is unknown.
        complete: number of images in the complete data set; None if unknown.
        resized: number of maps that were resized to their mask.
        normalize: whether maps were min-max normalized to 0..1.
        seconds: wall time, including reading and prediction.
        draws: see `draw_scores`.
        paper: the paper's scores of this method on this data set, if any.
        details: metadata of the method, such as its run directory.
        data: metadata of the data set, such as its fingerprint.
    """

    method: str
    dataset: str
    scores: Mapping[str, float]
    images: int
    empty: int
    empty_mae: float
    complete: int | None
    resized: int
    normalize: bool
    seconds: float
    draws: Mapping[str, np.ndarray]
    paper: PaperScore | None
    details: Mapping
    data: Mapping

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        return {name: interval(draws) for name, draws in self.draws.items()}


class SaliencyReport(Report):
    """Reports saliency scores next to the paper's, with bootstrap intervals."""

    title = "Saliency scores"
    conventions = CONVENTIONS
    packages = ("pysodmetrics",)

    def summarize(self, evaluation, method, data, seconds=math.nan) -> Result:
        scores = evaluation.scores
        of_empty = [row.mae for row in scores.rows if row.empty and row.mae is not None]
        return Result(
            method=method.name,
            dataset=data.name,
            scores=scores.scores,
            images=scores.images,
            empty=scores.empty,
            empty_mae=math.fsum(of_empty) / len(of_empty) if of_empty else math.nan,
            complete=reference.IMAGES.get(reference.dataset_key(data.name)),
            resized=evaluation.resized,
            normalize=scores.normalize,
            seconds=seconds,
            draws=draw_scores(evaluation),
            paper=reference.paper_row(data.name, method.variant, method.name),
            details=method.facts,
            data=data.facts,
        )

    def paper_variant(self, experiment) -> str:
        """Returns the row of Table 1 that corresponds to an `Experiment`."""
        spec, variant = get_spec(experiment.task), experiment.variant
        if spec.has_attention_loss(variant) and not experiment.attention_loss_weight:
            return f"{variant}_no_attention_loss"
        return variant

    def table(self, results: Sequence[Result]) -> str:
        """Formats all scores of the methods on a data set, each above the paper's."""
        first = results[0]
        names = list(first.scores)
        lines = [["", *names]]
        for result in results:
            lines.append([result.method, *(_number(result.scores[n]) for n in names)])
            spans = result.intervals
            lines.append(["  95% interval", *(_span(spans.get(n)) for n in names)])
            if result.paper:
                paper = result.paper._asdict()
                lines.append(["  the paper", *(_number(paper.get(n)) for n in names)])
        text = [_heading(first), align_columns(lines)]
        text += [note for result in results for note in _notes(result)]
        text += [_difference_line(result, first) for result in results[1:]]
        return "\n".join(text) + "\n"

    def overview(self, results: Sequence[Result]) -> list[list[str]]:
        """Returns rows like those of Table 1, each above the paper's scores."""
        datasets = list(by_dataset(results))
        columns = [name for name in _PAPER if name in results[0].scores]
        head = [f"{dataset} {_PAPER[name]}" for dataset in datasets for name in columns]
        rows = [["", *head]]
        for method in dict.fromkeys(result.method for result in results):
            own = {r.dataset: r for r in results if r.method == method}
            scores = {dataset: r.scores for dataset, r in own.items()}
            papers = {d: r.paper._asdict() for d, r in own.items() if r.paper}
            for label, source in ((method, scores), (f"{method}, the paper", papers)):
                if source:
                    cells = [
                        source.get(d, {}).get(n) for d in datasets for n in columns
                    ]
                    rows.append([label, *map(_number, cells)])
        return rows

    def sections(self, results: Sequence[Result]) -> list[str]:
        names = list(results[0].scores)
        rows = [
            [r.method, r.dataset, str(r.images), str(r.empty)]
            + [_with_interval(r, name) for name in names]
            for r in results
        ]
        head = ["method", "data set", "images", "empty", *names]
        return [
            "All scores, with 95% intervals over the images:",
            markdown_table([head, *rows]),
        ]

    def notes(self, results: Sequence[Result]) -> list[str]:
        groups = by_dataset(results).values()
        notes = [note for group in groups for r in group for note in _notes(r)]
        notes += [_difference_line(r, group[0]) for group in groups for r in group[1:]]
        return ["\n".join(f"- {note}" for note in notes)] if notes else []

    def settings_json(self, results: Sequence[Result]) -> dict:
        return {"normalize": results[0].normalize, "resamples": RESAMPLES}

    def dataset_json(self, results: Sequence[Result]) -> dict:
        """Adds the paired differences from the first method."""
        first = results[0]
        return {
            "images": first.images,
            "empty": first.empty,
            "complete": first.complete,
            "method": first.method,
            **first.scores,
            "methods": {result.method: _method_json(result) for result in results},
            "differences": [
                {"method": r.method, "minus": first.method, **difference(r, first)}
                for r in results[1:]
            ],
        }


def difference(result: Result, other: Result) -> dict[str, dict[str, float]]:
    """Returns {score: difference `result - other` with its paired interval}.

    Both results must be for the same images.
    """
    found = {}
    for name in result.draws.keys() & other.draws.keys():
        low, high = interval(result.draws[name] - other.draws[name])
        value = result.scores[name] - other.scores[name]
        found[name] = {"difference": value, "low": low, "high": high}
    return {name: found[name] for name in _PAPER if name in found}


def images_csv(evaluation: Evaluation) -> str:
    """Formats the scores of each image, one line per image, in data set order."""
    rows = evaluation.scores.rows
    measured = [
        name
        for name in ImageScores._fields[2:]
        if any(getattr(row, name) is not None for row in rows)
    ]
    lines = [["name", "empty", *measured]]
    for row in rows:
        values = [getattr(row, name) for name in measured]
        cells = ["" if value is None else f"{value:.6f}" for value in values]
        lines.append([row.name, int(row.empty), *cells])
    return csv_text(lines)


def _method_json(result: Result) -> dict:
    return {
        **result.scores,
        "intervals": {name: list(span) for name, span in result.intervals.items()},
        "paper": result.paper._asdict() if result.paper else None,
        "empty_mae": result.empty_mae,
        "resized": result.resized,
        "seconds": round(result.seconds, 2),
        "details": dict(result.details),
    }


def _heading(result: Result) -> str:
    text = f"{result.dataset}, {result.images:,} images"
    if result.complete and result.complete != result.images:
        text += f" of the {result.complete:,} that the paper scores"
    if result.empty:
        text += f", {result.empty:,} with an empty mask (not in F)"
    return text


def _notes(result: Result) -> list[str]:
    notes = []
    if not math.isnan(result.empty_mae):
        notes.append(
            f"{result.method}, {result.dataset}: mae {_number(result.empty_mae)} of "
            f"the images with an empty mask, {result.empty:,} of {result.images:,}"
        )
    if result.resized:
        notes.append(
            f"{result.method}, {result.dataset}: {result.resized:,} of "
            f"{result.images:,} maps were resized to their mask"
        )
    if not result.normalize:
        notes.append(f"{result.method}, {result.dataset}: maps not normalized to 0..1")
    return notes


def _difference_line(result: Result, other: Result) -> str:
    found = [
        f"{name} {d['difference']:+.3f} [{d['low']:+.3f}, {d['high']:+.3f}]"
        for name, d in difference(result, other).items()
    ]
    return (
        f"{result.dataset}, {result.method} minus {other.method}, paired 95% "
        f"interval: {', '.join(found)}"
    )


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _with_interval(result: Result, name: str) -> str:
    span = result.intervals.get(name)
    return _number(result.scores[name]) + (f" ({_span(span)})" if span else "")


def _span(span: tuple[float, float] | None) -> str:
    return "" if span is None else f"{_number(span[0])}-{_number(span[1])}"
