"""Reading attention: where a pixel looks, and whether that is global contrast."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from picanet_tf.context import fitting_grid
from picanet_tf.errors import PicanetError
from picanet_tf.layers.attending import global_grid, local_window
from picanet_tf.saliency.targets import resize_mask

# As the layers' own defaults: `context.context_layer`.
LOCAL_KERNEL_SIZE, LOCAL_DILATION_RATE = 7, 2


class Context(NamedTuple):
    """What one pixel of one attentive module looks at.

    Attributes:
        weights: float [K, K], the attention to each position; GAP's and LAP's sum to
            1, AC's are gates, each in 0..1.
        rows, columns: [K], the positions, on the module's map; some of a local window
            may lie outside it.
        cell: (row, column) on the map of the pixel that looks.
        size: (height, width) of the map.
        step: distance of neighbouring positions.
        is_global: whether the positions are those of the whole map.
    """

    weights: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    cell: tuple[int, int]
    size: tuple[int, int]
    step: int
    is_global: bool

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) of the context region in 0..1 of the image.

        A global context is all of the image; a local one ends at the image's border.
        """
        if self.is_global:
            return 0.0, 0.0, 1.0, 1.0
        height, width = self.size
        return (
            max(int(self.columns[0]), 0) / width,
            max(int(self.rows[0]), 0) / height,
            min(int(self.columns[-1]) + 1, width) / width,
            min(int(self.rows[-1]) + 1, height) / height,
        )


def context_of(
    attention: np.ndarray,
    kind: str,
    cell: tuple[int, int],
    dilation_rate: int = LOCAL_DILATION_RATE,
) -> Context:
    """What the pixel at `cell` of a map looks at.

    Args:
        attention: float [h, w, K*K], of one image.
        kind: `"GAP"`, `"LAP"` or `"AC"`.
        cell: (row, column).
        dilation_rate: of a local window.
    """
    height, width, positions = attention.shape
    kernel_size = round(positions**0.5)
    weights = attention[cell].reshape(kernel_size, kernel_size)
    size, is_global = (height, width), kind == "GAP"
    if is_global:
        step = fitting_grid(height, kernel_size)[1]
        rows, columns = (_grid(side, kernel_size) for side in size)
    else:
        step = dilation_rate
        rows, columns = (
            np.array(local_window(position, kernel_size, step)) for position in cell
        )
    return Context(weights, rows, columns, cell, size, step, is_global)


def _grid(side: int, kernel_size: int) -> np.ndarray:
    return np.arange(side)[global_grid(side, *fitting_grid(side, kernel_size))]


def spread(context: Context, size: tuple[int, int]) -> np.ndarray:
    """The attention of a context, drawn over the image.

    Args:
        context: of `context_of`.
        size: (height, width) to draw at.

    Returns:
        float [height, width]: between the positions bilinear, beyond the outer ones
        constant, outside the context region NaN.
    """
    height, width = size
    y = (np.arange(height) + 0.5) / height
    x = (np.arange(width) + 0.5) / width
    along_y = _interpolation(y * context.size[0] - 0.5, context.rows)
    along_x = _interpolation(x * context.size[1] - 0.5, context.columns)
    drawn = along_y @ context.weights @ along_x.T
    left, top, right, bottom = context.box
    outside = ((y < top) | (y > bottom))[:, None] | ((x < left) | (x > right))[None]
    return np.where(outside, np.nan, drawn)


def _interpolation(points: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """[P, K]: what each of K positions counts for at each of P points."""
    identity = np.eye(len(positions))
    return np.stack([np.interp(points, positions, row) for row in identity], axis=1)


class ContrastStatistics:
    """Does global attention look at the other side? "GAP learns global contrast."

    For each foreground pixel of the map: the share of its attention that falls on
    background positions of the grid; for each background pixel the share that falls
    on foreground. Averaged over an image's pixels, then over the images. Beside it the
    share that uniform attention would give, which is the share of such positions.

    An image that lacks one side, on the map or on the grid, is left out.

    Example:
        >>> statistics = ContrastStatistics()
        >>> statistics.update(attention, resize_mask(mask, 28, 28))
        >>> statistics.result()["foreground_on_background"]["attention"]
        0.93
    """

    def __init__(self):
        self._shares: list[tuple[float, float, float, float]] = []
        self._images = 0

    def update(self, attention: np.ndarray, mask: np.ndarray) -> None:
        """Adds a batch.

        Args:
            attention: float [N, h, w, K*K], of GAP.
            mask: [N, h, w, 1], 1 in the foreground and 0 elsewhere.
        """
        for weights, salient in zip(np.asarray(attention), mask, strict=True):
            self._images += 1
            self._add(weights, np.asarray(salient)[..., 0] > 0.5)

    def _add(self, weights: np.ndarray, salient: np.ndarray) -> None:
        kernel_size = round(weights.shape[-1] ** 0.5)
        grid = np.ix_(*(_grid(side, kernel_size) for side in salient.shape))
        positions = salient[grid].ravel()
        if not (salient.any() and positions.any()):
            return
        if salient.all() or positions.all():
            return
        on_salient = weights @ positions.astype(weights.dtype)
        on_background = weights @ (~positions).astype(weights.dtype)
        self._shares.append(
            (
                float(on_background[salient].mean()),
                float((~positions).mean()),
                float(on_salient[~salient].mean()),
                float(positions.mean()),
            )
        )

    def result(self) -> dict:
        """Shares in 0..1, and over how many images.

        Raises:
            PicanetError: no image had both foreground and background.
        """
        if not self._shares:
            raise PicanetError(
                f"None of {self._images} images has foreground and background "
                "positions, so there is no contrast to measure"
            )
        shares = np.array(self._shares)
        return {
            "images": len(shares),
            "images_left_out": self._images - len(shares),
            "foreground_on_background": _summary(shares[:, 0], shares[:, 1]),
            "background_on_foreground": _summary(shares[:, 2], shares[:, 3]),
        }


def measure_contrast(model, batches: Iterable) -> dict[str, dict]:
    """`ContrastStatistics` of a data set.

    Args:
        model: an `inference.AttentionModel`.
        batches: (images float32 [N, S, S, 3] of 0..255, masks [N, S, S, 1] of 0..1).

    Returns:
        {"D<decoding stage>": `ContrastStatistics.result`} of each module with GAP.

    Raises:
        PicanetError: the network has no GAP, or no image has both sides.
    """
    statistics = {stage: ContrastStatistics() for stage in model.global_stages}
    for images, masks in batches:
        for stage, attention in model.global_attention(images).items():
            there = resize_mask(masks, *attention.shape[1:3]).numpy()
            statistics[stage].update(attention, there)
    return {f"D{stage}": found.result() for stage, found in statistics.items()}


def contrast_table(results: dict[str, dict]) -> str:
    """`measure_contrast` in lines to print."""
    lines = []
    for stage, result in results.items():
        lines.append(
            f"{stage}, {result['images']} images   attention   uniform   ratio"
        )
        for name in ("foreground_on_background", "background_on_foreground"):
            share = result[name]
            ratio = share["attention"] / share["uniform"]
            lines.append(
                f"  {name.replace('_', ' '):<26} {share['attention']:7.1%} "
                f"{share['uniform']:9.1%} {ratio:7.2f}"
            )
        if left_out := result["images_left_out"]:
            lines.append(
                f"  {left_out} of {result['images'] + left_out} images left out: no "
                "foreground or no background on the map or the grid"
            )
    return "".join(f"{line}\n" for line in lines)


def _summary(attention: np.ndarray, uniform: np.ndarray) -> dict[str, float]:
    return {
        "attention": float(attention.mean()),
        "uniform": float(uniform.mean()),
        "images_above_uniform": float((attention > uniform).mean()),
    }
