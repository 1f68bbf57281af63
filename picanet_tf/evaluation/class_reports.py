"""Base class of reports with scores per class. Does not import TensorFlow."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

from picanet_tf.evaluation.reports import Report
from picanet_tf.evaluation.tables import (
    align_columns,
    by_dataset,
    markdown_table,
    percent,
)


@dataclasses.dataclass(frozen=True)
class Scores:
    """The scores of an evaluation, as shown in the report.

    Attributes:
        means: {name: mean score in 0..1}.
        by_class: {class: score in 0..1}; NaN for classes that cannot be scored.
        more: further results, for report.json only.
        size: size of the data set, as text.
        counts: size of the data set in numbers, for report.json.
        columns: {title: {class: count}}, additional columns of the table.
        notes: notes below the table.
    """

    means: Mapping[str, float]
    by_class: Mapping[str, float]
    more: Mapping
    size: str
    counts: Mapping
    columns: Mapping[str, Mapping[str, int]] = dataclasses.field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Result:
    """One method on one data set.

    Attributes:
        method, dataset: names.
        scores: the scores.
        seconds: wall time, including reading and prediction.
        paper: the paper's mean score on the complete data set, or None.
        details: metadata of the method, such as its run directory.
        data: metadata of the data set, such as its fingerprint.
    """

    method: str
    dataset: str
    scores: Scores
    seconds: float
    paper: float | None
    details: Mapping
    data: Mapping


class ClassReport(Report):
    """Base class of reports with scores per class.

    Attributes:
        mean: name of the main score in `Scores.means`.
        mean_in_words: display name of the main score.
        paper: {variant: main score in the paper}.
        paper_set, paper_images: data set of these scores, and its number of images.
        paper_digits: number of digits in the paper.
    """

    mean: ClassVar[str]
    mean_in_words: ClassVar[str]
    paper: ClassVar[Mapping[str, float]]
    paper_set: ClassVar[str]
    paper_images: ClassVar[int]
    paper_digits: ClassVar[int]

    @abc.abstractmethod
    def scores_of(self, evaluation) -> Scores:
        """Returns the scores of an evaluation."""

    def summarize(self, evaluation, method, data, seconds=math.nan) -> Result:
        paper = self.paper if data.name == self.paper_set else {}
        return Result(
            method=method.name,
            dataset=data.name,
            scores=self.scores_of(evaluation),
            seconds=seconds,
            paper=paper.get(method.variant),
            details=method.facts,
            data=data.facts,
        )

    def table(self, results: Sequence[Result]) -> str:
        """Formats all scores of the methods on a data set, with one row per class."""
        mean, digits, images = self.mean_in_words, self.paper_digits, self.paper_images
        notes = [
            f"{r.method}: the paper has {mean} {r.paper:.{digits}f} on all {images:,}"
            for r in results
            if r.paper is not None
        ]
        notes += results[0].scores.notes
        return (
            "\n".join([_heading(results), align_columns(_rows(results)), *notes]) + "\n"
        )

    def overview(self, results: Sequence[Result]) -> list[list[str]]:
        means = {(r.method, r.dataset): r.scores.means[self.mean] for r in results}
        datasets = list(by_dataset(results))
        rows = [[self.mean_in_words, *datasets]]
        for method in dict.fromkeys(result.method for result in results):
            rows.append([method, *(percent(means.get((method, d))) for d in datasets)])
        return rows

    def sections(self, results: Sequence[Result]) -> list[str]:
        parts = []
        for group in by_dataset(results).values():
            parts += [f"{_heading(group)}:", markdown_table(_rows(group))]
        return parts

    def dataset_json(self, results: Sequence[Result]) -> dict:
        first = results[0]
        return {
            **first.scores.counts,
            "method": first.method,
            **first.scores.means,
            "methods": {result.method: self._method_json(result) for result in results},
        }

    def _method_json(self, result: Result) -> dict:
        return {
            **result.scores.means,
            **result.scores.more,
            f"paper_{self.mean}": result.paper,
            "seconds": round(result.seconds, 2),
            "details": dict(result.details),
        }


def _heading(results: Sequence[Result]) -> str:
    return f"{results[0].dataset}, {results[0].scores.size}"


def _rows(results: Sequence[Result]) -> list[list[str]]:
    scores = [result.scores for result in results]
    columns = scores[0].columns
    rows = [["class", *columns, *(result.method for result in results)]]
    for name in scores[0].by_class:
        counts = [str(column[name]) for column in columns.values()]
        rows.append([name, *counts, *(percent(each.by_class[name]) for each in scores)])
    for name in scores[0].means:
        blank = [""] * len(columns)
        rows.append([name, *blank, *(percent(each.means[name]) for each in scores)])
    return rows
