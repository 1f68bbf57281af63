"""The report of a task that is scored by class: tables, Markdown, JSON, examples.

Imports no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from picanet_tf.reporting import (
    aligned,
    by_dataset,
    facts_list,
    in_utf8,
    markdown_table,
    percent,
    versions,
    without_nan,
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


@dataclasses.dataclass(frozen=True)
class ClassReport:
    """The report of one task.

    Attributes:
        title: its heading.
        mean: the one of `Scores.means` that methods are compared by.
        mean_in_words: the same for people.
        conventions: how everything is scored.
        scores_of: evaluation -> `Scores`.
        paper: {variant: mean that the paper reports}.
        paper_set, paper_images: the data set it is on, and that set's size.
        paper_digits: how many the paper gives.
        packages: that scores depend on, beside those of every task.
    """

    title: str
    mean: str
    mean_in_words: str
    conventions: str
    scores_of: Callable[..., Scores]
    paper: Mapping[str, float]
    paper_set: str
    paper_images: int
    paper_digits: int
    packages: Sequence[str] = ()

    def summarize(self, evaluation, method, data, seconds=math.nan) -> Result:
        """What is kept of an evaluation once its pictures are drawn."""
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

    def paper_variant(self, experiment) -> str:
        """The column of the paper's table that an `Experiment` belongs to."""
        return experiment.variant

    def table(self, results: Sequence[Result]) -> str:
        """All scores of one data set's methods, per class, for a terminal."""
        mean, digits, images = self.mean_in_words, self.paper_digits, self.paper_images
        notes = [
            f"{r.method}: the paper has {mean} {r.paper:.{digits}f} on all {images:,}"
            for r in results
            if r.paper is not None
        ]
        notes += results[0].scores.notes
        return "\n".join([_heading(results), aligned(_rows(results)), *notes]) + "\n"

    def comparison(self, results: Sequence[Result]) -> str:
        """Means, methods down and data sets across."""
        return aligned(self._overview(results)) + "\n"

    def markdown(self, results: Sequence[Result]) -> str:
        """The whole report for people."""
        parts = [f"# {self.title}", markdown_table(self._overview(results))]
        for group in by_dataset(results).values():
            parts += [f"{_heading(group)}:", markdown_table(_rows(group))]
        parts += [facts_list(results), f"```\n{self.conventions}```"]
        return in_utf8("\n\n".join(parts) + "\n")

    def to_json(self, results: Sequence[Result]) -> dict:
        """The whole report for programs: `["datasets"][name]["methods"][method]`."""
        report = {
            "versions": versions(*self.packages),
            "conventions": self.conventions.splitlines(),
            "datasets": {
                name: {
                    **group[0].scores.counts,
                    **group[0].data,
                    "method": group[0].method,
                    **group[0].scores.means,
                    "methods": {r.method: self._method_json(r) for r in group},
                }
                for name, group in by_dataset(results).items()
            },
        }
        return without_nan(report)

    def _method_json(self, result: Result) -> dict:
        return {
            **result.scores.means,
            **result.scores.more,
            f"paper_{self.mean}": result.paper,
            "seconds": round(result.seconds, 2),
            "details": dict(result.details),
        }

    def _overview(self, results: Sequence[Result]) -> list[list[str]]:
        means = {(r.method, r.dataset): r.scores.means[self.mean] for r in results}
        datasets = list(by_dataset(results))
        rows = [[self.mean_in_words, *datasets]]
        for method in dict.fromkeys(result.method for result in results):
            rows.append([method, *(percent(means.get((method, d))) for d in datasets)])
        return rows


def examples(found: Mapping[str, tuple]) -> Iterator[tuple]:
    """The images picked, as (file name, column titles, rows of (label, pictures)).

    Args:
        found: {method: evaluation with `picked`}.
    """
    rows = []
    for each in zip(*(evaluation.picked for evaluation in found.values()), strict=True):
        first, drawn = each[0], [example.prediction for example in each]
        rows.append((first.name, [first.image, first.truth, *drawn]))
    if rows:
        yield "examples.png", ["image", "ground truth", *found], rows


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
