"""What every task's report is written with: tables, curves, names of folders.

Imports no TensorFlow.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata

# Ten colours, then the same dashed, then dotted.
_STYLES = ("-", "--", ":")


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


def aligned(rows: Sequence[Sequence[str]]) -> str:
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


def overview(results: Sequence, title: str, score: str) -> list[list[str]]:
    """Rows of one of the `scores`, in percent: methods down and data sets across."""
    groups = by_dataset(results)
    rows = [[title, *groups]]
    for method in dict.fromkeys(result.method for result in results):
        own = {r.dataset: r.scores[score] for r in results if r.method == method}
        rows.append([method, *(percent(own.get(name)) for name in groups)])
    return rows


def class_report(
    results: Sequence,
    title: str,
    overview: Sequence[Sequence[str]],
    heading: Callable,
    rows: Callable,
    conventions: str,
) -> str:
    """Markdown of scores by class: all in brief, each data set, what was scored, how.

    Args:
        results: each with `method`, `dataset`, and the facts `details` and `data`.
        overview: a table's rows.
        heading: a result -> what its data set is.
        rows: the results of a data set -> its table's rows.
    """
    parts = [f"# {title}", markdown_table(overview)]
    for group in by_dataset(results).values():
        parts += [f"{heading(group[0])}:", markdown_table(rows(group))]
    parts += [facts_list(results), f"```\n{conventions}```"]
    return "\n\n".join(parts) + "\n"


def facts_list(results: Sequence) -> str:
    """What is known of each method and each data set, as Markdown."""
    facts = {r.method: r.details for r in results} | {
        r.dataset: r.data for r in results
    }
    return "\n".join(f"- {name}: {told(known)}" for name, known in facts.items())


def told(facts: Mapping) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items())


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Of the packages that scores depend on."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def examples_panel(found: Mapping) -> Iterator[tuple]:
    """The picked images of {method: evaluation} side by side, one panel or none.

    As (file name, column titles, rows of (label, pictures)).
    """
    rows = []
    for examples in zip(*(each.picked for each in found.values()), strict=True):
        first, drawn = examples[0], [example.prediction for example in examples]
        rows.append((first.name, [first.image, first.truth, *drawn]))
    if rows:
        yield "examples.png", ["image", "ground truth", *found], rows


def csv_text(rows: Sequence[Sequence]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


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


def figure(title: str, x: str, y: str):
    """A matplotlib `Figure` of one axes, 0..1 both ways, and the axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 4.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(title=in_utf8(title), xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)
    return figure, axes


def line_style(number: int) -> dict:
    """Of the line of this number; 30 differ."""
    style = _STYLES[number // 10 % len(_STYLES)]
    return {"color": f"C{number % 10}", "linestyle": style, "linewidth": 1.6}
