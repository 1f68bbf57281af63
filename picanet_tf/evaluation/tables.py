"""Formatting helpers for reports: tables, metadata, folder names.

Does not import TensorFlow.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from importlib import metadata

from picanet_tf.core.files import in_utf8


def folder_name(name: str) -> str:
    """Converts the name of a data set or method to a folder name."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("._") or "_"


def by_dataset(results: Sequence) -> dict[str, list]:
    """Groups results by data set, keeping their order."""
    groups: dict[str, list] = {}
    for result in results:
        groups.setdefault(result.dataset, []).append(result)
    return groups


def align_columns(rows: Sequence[Sequence[str]]) -> str:
    """Formats a plain-text table; the first column is left-aligned, others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in rows
    )


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Formats a Markdown table; the first row is the header."""
    head, *body = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))


def csv_text(rows: Sequence[Sequence]) -> str:
    """Formats CSV; the first row is the header."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return in_utf8(text.getvalue())


def facts_list(results: Sequence) -> str:
    """Formats the metadata of each method, then of each data set, as Markdown."""
    methods = {r.method: r.details for r in results}
    data = {r.dataset: r.data for r in results}
    facts = [*methods.items(), *data.items()]
    return "\n".join(f"- {name}: {in_words(values)}" for name, values in facts)


def in_words(facts: Mapping) -> str:
    """Formats metadata as a list: {"step": 3, "model": "a"} -> "step 3, model a"."""
    return ", ".join(f"{key} {value}" for key, value in facts.items())


def versions(*packages: str) -> dict[str, str]:
    """Returns the versions of TensorFlow, Keras, NumPy and the given packages."""
    found = {}
    for package in ("tensorflow", "keras", "numpy", *packages):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def percent(value: float | None) -> str:
    """Formats a fraction as a percentage: 0.1234 -> "12.34"; None and NaN -> "-"."""
    return "-" if value is None or math.isnan(value) else f"{100 * value:.2f}"


def without_nan(value):
    """Replaces NaN by None recursively, because JSON has no NaN."""
    if isinstance(value, Mapping):
        return {key: without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
