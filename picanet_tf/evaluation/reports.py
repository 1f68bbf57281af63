"""The report of what was scored: tables, Markdown, JSON. Imports no TensorFlow."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import ClassVar

from picanet_tf.evaluation.samples import DataSet, Method
from picanet_tf.evaluation.tables import (
    align_columns,
    by_dataset,
    facts_list,
    in_utf8,
    in_words,
    markdown_table,
    versions,
    without_nan,
)


class Report(abc.ABC):
    """What is said of the scores of one task; each task has a subclass.

    A result is what `summarize` gives: one method on one data set, with the attributes
    `method`, `dataset` (names), `details` and `data` (facts on both).

    Attributes:
        title: its heading.
        conventions: how everything is scored, in `--help` and in each report.
        packages: that scores depend on, beside those of every task.
    """

    title: ClassVar[str]
    conventions: ClassVar[str]
    packages: ClassVar[Sequence[str]] = ()

    @abc.abstractmethod
    def summarize(
        self, evaluation, method: Method, data: DataSet, seconds: float = math.nan
    ):
        """What is kept of an evaluation once its pictures are drawn: a result."""

    @abc.abstractmethod
    def table(self, results: Sequence) -> str:
        """All scores of one data set's methods, for a terminal."""

    @abc.abstractmethod
    def overview(self, results: Sequence) -> list[list[str]]:
        """The main scores as rows of cells: methods down, data sets across."""

    @abc.abstractmethod
    def sections(self, results: Sequence) -> list[str]:
        """Markdown: what the report says between its overview and the facts."""

    @abc.abstractmethod
    def dataset_json(self, results: Sequence) -> dict:
        """What `to_json` says of one data set, of which these are the results."""

    def paper_variant(self, experiment) -> str:
        """The row of the paper's table that an `Experiment` belongs to."""
        return experiment.variant

    def comparison(self, results: Sequence) -> str:
        """The overview, for a terminal."""
        return align_columns(self.overview(results)) + "\n"

    def markdown(self, results: Sequence) -> str:
        """The whole report for people."""
        parts = [
            f"# {self.title}",
            markdown_table(self.overview(results)),
            *self.sections(results),
            facts_list(results),
            *self.notes(results),
            f"```\n{self.conventions}```",
            f"Scored with {in_words(versions(*self.packages))}.",
        ]
        return in_utf8("\n\n".join(parts) + "\n")

    def notes(self, results: Sequence) -> list[str]:
        """Markdown behind the facts; none by default."""
        return []

    def to_json(self, results: Sequence) -> dict:
        """The whole report for programs.

        `["datasets"][name]` holds the scores of the first method themselves, and under
        `["methods"][method]` each one's.
        """
        return without_nan(
            {
                "versions": versions(*self.packages),
                "conventions": self.conventions.splitlines(),
                **self.settings_json(results),
                "datasets": {
                    name: {**group[0].data, **self.dataset_json(group)}
                    for name, group in by_dataset(results).items()
                },
            }
        )

    def settings_json(self, results: Sequence) -> dict:
        """What else `to_json` says of all data sets; nothing by default."""
        return {}
