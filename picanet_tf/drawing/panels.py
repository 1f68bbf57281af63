"""Writes labelled panels of images as PNGs. Does not import TensorFlow."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from picanet_tf.core.files import in_utf8, replacing


class Row(NamedTuple):
    """One row of a panel.

    Attributes:
        label: label to the left of the row.
        pictures: uint8 [H, W, 3], uint8 [H, W] or float [H, W] in 0..1, in the order of
            the panel's columns; None for an empty cell.
    """

    label: str
    pictures: Sequence[np.ndarray | None]


def save_panel(
    path: Path, columns: Sequence[str], rows: Sequence[Row], title=""
) -> None:
    """Writes rows of images with column titles to a PNG.

    Args:
        path: output file, replaced atomically.
        columns: titles of the columns.
        rows: rows from top to bottom.
        title: title of the panel.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(2.6 * len(columns), 2.1 * len(rows) + 0.6), layout="constrained"
    )
    FigureCanvasAgg(figure)
    # Dollar signs in file names must not start math mode.
    plain = {"parse_math": False}
    if title:
        figure.suptitle(in_utf8(title), fontsize=11, **plain)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for line, row in zip(axes, rows, strict=True):
        for axis, picture in zip(line, row.pictures, strict=True):
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_frame_on(False)
            if picture is not None:
                limit = 255 if picture.dtype == np.uint8 else 1
                axis.imshow(picture, cmap="gray", vmin=0, vmax=limit)
        line[0].set_ylabel(in_utf8(row.label), fontsize=9, **plain)
    for axis, name in zip(axes[0], columns, strict=True):
        axis.set_title(in_utf8(name), fontsize=10, **plain)
    with replacing(Path(path)) as temporary, warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(temporary, dpi=110)
