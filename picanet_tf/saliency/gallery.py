"""The pictures of a report on one data set: PR and F curves, panels of images.

Gives what to draw by file name; whoever calls it writes the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from picanet_tf.reporting import figure as figure_of
from picanet_tf.reporting import folder_name, in_utf8, line_style
from picanet_tf.saliency.evaluation import Evaluation, Example
from picanet_tf.saliency.metrics import THRESHOLDS


def panels(
    found: Mapping[str, Evaluation],
) -> Iterator[tuple[str, list[str], list[tuple[str, list]]]]:
    """Panels as (file name, column titles, rows), a row being (label, pictures).

    `METHOD/worst.png` and `METHOD/best.png` of each method, and `examples.png` of all
    of them side by side, on the images picked.
    """
    for name, evaluation in found.items():
        for kind in ("worst", "best"):
            rows = [
                (_label(example), [example.image, example.mask, example.prediction])
                for example in getattr(evaluation, kind)
            ]
            yield from _panel(f"{folder_name(name)}/{kind}.png", [name], rows)
    rows = []
    for examples in zip(*(each.picked for each in found.values()), strict=True):
        first, maps = examples[0], [example.prediction for example in examples]
        rows.append((first.name, [first.image, first.mask, *maps]))
    yield from _panel("examples.png", list(found), rows)


def figures(found: Mapping[str, Evaluation], title: str):
    """Curves as (file name, matplotlib `Figure`), a line a method (Fig. 6)."""
    yield "pr_curve.png", _pr_figure(found, title)
    yield "f_curve.png", _f_figure(found, title)


def _panel(path: str, columns: list[str], rows: list) -> Iterator[tuple]:
    if not rows:
        return
    if all(pictures[0] is None for _, pictures in rows):  # maps and masks alone
        rows = [(label, pictures[1:]) for label, pictures in rows]
        yield path, ["ground truth", *columns], rows
    else:
        yield path, ["image", "ground truth", *columns], rows


def _label(example: Example) -> str:
    return f"{example.name}\nF {example.score:.3f}"


def _pr_figure(found: Mapping[str, Evaluation], title: str):
    figure, axes = figure_of(title, "recall", "precision")
    for number, (name, evaluation) in enumerate(found.items()):
        scores, style = evaluation.scores, line_style(number)
        axes.plot(scores.recall, scores.precision, label=in_utf8(name), **style)
        if scores.images > scores.empty:
            best = int(np.argmax(scores.f))
            dot = {"color": style["color"], "markersize": 5}
            axes.plot(scores.recall[best], scores.precision[best], "o", **dot)
    axes.legend(loc="lower left", fontsize=9, title="dot: max F", title_fontsize=8)
    return figure


def _f_figure(found: Mapping[str, Evaluation], title: str):
    figure, axes = figure_of(title, "threshold", "F, beta² = 0.3")
    axes.set_xlim(0, THRESHOLDS - 1)
    axes.set_xticks([0, 50, 100, 150, 200, 255])
    for number, (name, evaluation) in enumerate(found.items()):
        f = evaluation.scores.f
        label = f"{in_utf8(name)} (max {f.max():.3f})"
        axes.plot(np.arange(THRESHOLDS), f, label=label, **line_style(number))
    axes.legend(loc="lower center", fontsize=9)
    return figure
