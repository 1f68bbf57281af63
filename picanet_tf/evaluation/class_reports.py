"""The report of a task that is scored class by class.

Imports no TensorFlow.
"""

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
    """What a task's report says of an evaluation.

    Attributes:
        means: {name: 0..1}.
        by_class: {class: 0..1}; NaN of one that cannot be scored.
        more: of the method, for report.json only.
        size: of the data set, in words.
        counts: the same in numbers, for report.json.
        columns: {title: {class: how many}}, beside the classes.
        notes: on all methods, below the table.
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
        scores: what it reached.
        seconds: wall time, reading and predicting included.
        paper: mean that the paper reports for it, on all of the set; or None.
        details: of the method, such as its run directory.
        data: of the data set, such as its fingerprint.
    """

    method: str
    dataset: str
    scores: Scores
    seconds: float
    paper: float | None
    details: Mapping
    data: Mapping


class ClassReport(Report):
    """The report of a task that is scored class by class.

    Attributes:
        mean: the one of `Scores.means` that methods are compared by.
        mean_in_words: the same for people.
        paper: {variant: mean that the paper reports}.
        paper_set, paper_images: the data set it is on, and that set's size.
        paper_digits: how many the paper gives.
    """

    mean: ClassVar[str]
    mean_in_words: ClassVar[str]
    paper: ClassVar[Mapping[str, float]]
    paper_set: ClassVar[str]
    paper_images: ClassVar[int]
    paper_digits: ClassVar[int]

    @abc.abstractmethod
    def scores_of(self, evaluation) -> Scores:
        """What the report says of an evaluation."""

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
        """All scores of one data set's methods, class by class, for a terminal."""
        mean, digits, images = self.mean_in_words, self.paper_digits, self.paper_images
        notes = [
            f"{r.method}: the paper has {mean} {r.paper:.{digits}f} on all {images:,}"
            for r in results
            if r.paper is not None
        ]
        notes += results[0].scores.notes
        return "\n".join([_heading(results), align_columns(_rows(results)), *notes]) + "\n"

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
