"""PR and F curves, as in the paper's Fig. 6."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from picanet_tf.saliency.metrics import THRESHOLDS, SaliencyScores

# Ten colours, then the same dashed, then dotted.
_STYLES = ("-", "--", ":")


def pr_figure(methods: Mapping[str, SaliencyScores], title: str):
    """Mean precision over mean recall, a line a method: a matplotlib `Figure`."""
    figure, axes = _figure(title, "recall", "precision")
    for number, (name, scores) in enumerate(methods.items()):
        axes.plot(scores.recall, scores.precision, label=name, **_style(number))
        best = int(np.argmax(scores.f))
        color = _style(number)["color"]
        axes.plot(scores.recall[best], scores.precision[best], "o", color=color, ms=5)
    axes.legend(loc="lower left", fontsize=9, title="dot: max F", title_fontsize=8)
    return figure


def f_figure(methods: Mapping[str, SaliencyScores], title: str):
    """F of the mean precision and recall over the threshold, as above."""
    figure, axes = _figure(title, "threshold", "F, beta² = 0.3")
    axes.set_xlim(0, THRESHOLDS - 1)
    axes.set_xticks([0, 50, 100, 150, 200, 255])
    for number, (name, scores) in enumerate(methods.items()):
        label = f"{name} (max {scores.f.max():.3f})"
        axes.plot(np.arange(THRESHOLDS), scores.f, label=label, **_style(number))
    axes.legend(loc="lower center", fontsize=9)
    return figure


def _figure(title: str, x: str, y: str):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 4.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)
    return figure, axes


def _style(number: int) -> dict:
    style = _STYLES[number // 10 % len(_STYLES)]
    return {"color": f"C{number % 10}", "linestyle": style, "linewidth": 1.6}
