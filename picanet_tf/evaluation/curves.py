"""Curves for reports. Does not import TensorFlow; imports matplotlib lazily."""

from __future__ import annotations

from picanet_tf.core.files import in_utf8

# Ten colours, each solid, dashed and dotted.
_STYLES = ("-", "--", ":")


def new_figure(title: str, x: str, y: str):
    """Returns a matplotlib `Figure` and its axes, both ranging from 0 to 1."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 4.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(title=in_utf8(title), xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)
    return figure, axes


def line_style(number: int) -> dict:
    """Returns the style of a line by its index; 30 styles are distinct."""
    style = _STYLES[number // 10 % len(_STYLES)]
    return {"color": f"C{number % 10}", "linestyle": style, "linewidth": 1.6}
