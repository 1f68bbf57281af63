"""The figures of a report. Imports no TensorFlow, and matplotlib where it draws."""

from __future__ import annotations

from picanet_tf.evaluation.tables import in_utf8

# Ten colours, then the same dashed, then dotted.
_STYLES = ("-", "--", ":")


def new_figure(title: str, x: str, y: str):
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
