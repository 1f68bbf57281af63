"""What every report is written with: tables, facts, names of folders.

Imports no TensorFlow.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from importlib import metadata


def folder_name(name: str) -> str:
    """A data set's or a method's name as a folder's."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("._") or "_"


def in_utf8(text: str) -> str:
    """Text that can be written even where the name of a file in it is no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def by_dataset(results: Sequence) -> dict[str, list]:
    """{name of the data set: its results}, in the order that came."""
    groups: dict[str, list] = {}
    for result in results:
        groups.setdefault(result.dataset, []).append(result)
    return groups


def align_columns(rows: Sequence[Sequence[str]]) -> str:
    """A table for a terminal: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in rows
    )


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """As Markdown, the first row being the head."""
    head, *body = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))


def csv_text(rows: Sequence[Sequence]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return in_utf8(text.getvalue())


def facts_list(results: Sequence) -> str:
    """Markdown: the facts on each method, then on each data set."""
    facts = {r.method: r.details for r in results} | {
        r.dataset: r.data for r in results
    }
    return "\n".join(f"- {name}: {in_words(values)}" for name, values in facts.items())


def in_words(facts: Mapping) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items())


def versions(*packages: str) -> dict[str, str]:
    """Of what scores depend on: TensorFlow, Keras, NumPy and these packages."""
    found = {}
    for package in ("tensorflow", "keras", "numpy", *packages):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def percent(value: float | None) -> str:
    """0..1 -> "12.34"; what is not there, "-"."""
    return "-" if value is None or math.isnan(value) else f"{100 * value:.2f}"


def without_nan(value):
    """None in place of each NaN, however deep: JSON has none."""
    if isinstance(value, Mapping):
        return {key: without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
