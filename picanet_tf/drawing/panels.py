"""Labelled panels of pictures, as PNGs. Imports no TensorFlow."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from picanet_tf.core.files import replacing


class Row(NamedTuple):
    """One row of a panel: a label and its pictures.

    Attributes:
        label: written to the left.
        pictures: uint8 [H, W, 3], uint8 [H, W] or float [H, W] in 0..1, in the order of
            the panel's columns; None leaves a gap.
    """

    label: str
    pictures: Sequence[np.ndarray | None]


def save_panel(
    path: Path, columns: Sequence[str], rows: Sequence[Row], title=""
) -> None:
    """Writes rows of pictures under column titles to a PNG.

    Args:
        path: where to; replaced in one step.
        columns: titles, one for each picture of a row.
        rows: from top to bottom.
        title: above everything.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(2.6 * len(columns), 2.1 * len(rows) + 0.6), layout="constrained"
    )
    FigureCanvasAgg(figure)
    # Names of files are no mathematics, whatever dollars are in them.
    plain = {"parse_math": False}
    if title:
        figure.suptitle(_in_utf8(title), fontsize=11, **plain)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for line, row in zip(axes, rows, strict=True):
        for axis, picture in zip(line, row.pictures, strict=True):
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_frame_on(False)
            if picture is not None:
                limit = 255 if picture.dtype == np.uint8 else 1
                axis.imshow(picture, cmap="gray", vmin=0, vmax=limit)
        line[0].set_ylabel(_in_utf8(row.label), fontsize=9, **plain)
    for axis, name in zip(axes[0], columns, strict=True):
        axis.set_title(_in_utf8(name), fontsize=10, **plain)
    with replacing(Path(path)) as temporary, warnings.catch_warnings():
        # A name in letters that the font lacks shows boxes in their place.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(temporary, dpi=110)


def _in_utf8(text: str) -> str:
    """Text that can be written even where the name of a file in it is not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
