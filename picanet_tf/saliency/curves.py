"""Figures of the report on one data set: PR and F curves, and panels of images.

The functions return figures by file name; the caller writes the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from picanet_tf.core.files import in_utf8
from picanet_tf.evaluation.curves import line_style, new_figure
from picanet_tf.evaluation.samples import Example
from picanet_tf.evaluation.scoring import panel_of
from picanet_tf.evaluation.tables import folder_name
from picanet_tf.saliency.evaluation import Evaluation
from picanet_tf.saliency.measures import THRESHOLDS


def ranked_panels(evaluations: Mapping[str, Evaluation]) -> Iterator[tuple]:
    """Yields `METHOD/worst.png` and `METHOD/best.png`, as `Scoring.panels`."""
    for name, evaluation in evaluations.items():
        for kind in ("worst", "best"):
            rows = [
                (_label(example), [example.image, example.truth, example.prediction])
                for example in getattr(evaluation, kind)
            ]
            yield from panel_of(f"{folder_name(name)}/{kind}.png", [name], rows)


def _label(example: Example) -> str:
    return f"{example.name}\nF {example.score:.3f}"


def pr_figure(found: Mapping[str, Evaluation], title: str):
    """Draws the mean PR curve of each method, with a dot at max F.

    Args:
        found: {method: evaluation}; all with a precision and recall.
        title: title of the figure.

    Returns:
        A matplotlib `Figure`.
    """
    figure, axes = new_figure(title, "recall", "precision")
    for number, (name, evaluation) in enumerate(found.items()):
        scores, style = evaluation.scores, line_style(number)
        axes.plot(scores.recall, scores.precision, label=in_utf8(name), **style)
        if scores.images > scores.empty:
            best = int(np.argmax(scores.f))
            dot = {"color": style["color"], "markersize": 5}
            axes.plot(scores.recall[best], scores.precision[best], "o", **dot)
    axes.legend(loc="lower left", fontsize=9, title="dot: max F", title_fontsize=8)
    return figure


def f_figure(found: Mapping[str, Evaluation], title: str):
    """Draws F over the threshold for each method; arguments as of `pr_figure`."""
    figure, axes = new_figure(title, "threshold", "F, beta² = 0.3")
    axes.set_xlim(0, THRESHOLDS - 1)
    axes.set_xticks([0, 50, 100, 150, 200, 255])
    for number, (name, evaluation) in enumerate(found.items()):
        f = evaluation.scores.f
        label = f"{in_utf8(name)} (max {f.max():.3f})"
        axes.plot(np.arange(THRESHOLDS), f, label=label, **line_style(number))
    axes.legend(loc="lower center", fontsize=9)
    return figure
