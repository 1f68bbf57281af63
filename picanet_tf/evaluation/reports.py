"""Base class of reports: tables, Markdown, JSON. Does not import TensorFlow."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import ClassVar

from picanet_tf.core.files import in_utf8
from picanet_tf.evaluation.samples import DataSet, Method
from picanet_tf.evaluation.tables import (
    align_columns,
    by_dataset,
    facts_list,
    in_words,
    markdown_table,
    versions,
    without_nan,
)


class Report(abc.ABC):
    """Formats the scores of a task; each task has a subclass.

    A result, as returned by `summarize`, is for one method on one data set and has the
    attributes `method`, `dataset` (names), `details` and `data` (metadata of both).

    Attributes:
        title: heading of the report.
        conventions: description of the scores, for `--help` and reports.
        packages: packages that affect the scores, in addition to the common ones.
    """

    title: ClassVar[str]
    conventions: ClassVar[str]
    packages: ClassVar[Sequence[str]] = ()

    @abc.abstractmethod
    def summarize(
        self, evaluation, method: Method, data: DataSet, seconds: float = math.nan
    ):
        """Converts an evaluation to a result, without its images."""

    @abc.abstractmethod
    def table(self, results: Sequence) -> str:
        """Formats all scores of the methods on a data set as plain text."""

    @abc.abstractmethod
    def overview(self, results: Sequence) -> list[list[str]]:
        """Returns a table of the main scores: methods as rows, data sets as columns."""

    @abc.abstractmethod
    def sections(self, results: Sequence) -> list[str]:
        """Returns Markdown sections between the overview and the metadata."""

    @abc.abstractmethod
    def dataset_json(self, results: Sequence) -> dict:
        """Returns the part of `to_json` for the results on one data set."""

    def paper_variant(self, experiment) -> str:
        """Returns the row of the paper's table that corresponds to an `Experiment`."""
        return experiment.variant

    def comparison(self, results: Sequence) -> str:
        """Formats the overview as plain text."""
        return align_columns(self.overview(results)) + "\n"

    def markdown(self, results: Sequence) -> str:
        """Formats the report as Markdown."""
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
        """Returns Markdown to append after the metadata; empty by default."""
        return []

    def to_json(self, results: Sequence) -> dict:
        """Returns the report as JSON data.

        `["datasets"][name]` contains the scores of the first method, and in
        `["methods"][method]` those of each method.
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
        """Returns further top-level items for `to_json`; empty by default."""
        return {}
