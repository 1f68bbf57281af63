"""Measures how much global attention falls on the opposite class (global contrast)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from picanet_tf.core.errors import PicanetError
from picanet_tf.models.context_modules import global_positions
from picanet_tf.saliency.targets import resize_mask


class ContrastStatistics:
    """Share of global attention on the opposite class ("GAP learns global contrast").

    For each foreground pixel, this is the share of its attention on background grid
    positions; for each background pixel, the share on foreground positions. The shares
    are averaged over the pixels of an image, then over images. The share under uniform
    attention, i.e. the fraction of such positions, is given for comparison.

    Images without foreground or background, on the map or on the grid, are excluded.

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
            attention: attention of GAP, float [N, h, w, K*K].
            mask: [N, h, w, 1], 1 in the foreground and 0 elsewhere.
        """
        for weights, salient in zip(np.asarray(attention), mask, strict=True):
            self._images += 1
            self._add(weights, np.asarray(salient)[..., 0] > 0.5)

    def _add(self, weights: np.ndarray, salient: np.ndarray) -> None:
        kernel_size = round(weights.shape[-1] ** 0.5)
        rows, columns = (global_positions(side, kernel_size) for side in salient.shape)
        positions = salient[rows, columns].ravel()
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
        """Returns the shares in 0..1 and the number of images.

        Raises:
            PicanetError: if no image had both foreground and background.
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
    """Computes `ContrastStatistics` on a data set.

    Args:
        model: an `inference.attention.AttentionModel`.
        batches: (images float32 [N, S, S, 3] of 0..255, masks [N, S, S, 1] of 0..1).

    Returns:
        {"D<decoding stage>": `ContrastStatistics.result`} for each module with GAP.

    Raises:
        PicanetError: if the network has no GAP, or no image has both foreground and
            background.
    """
    statistics = {stage: ContrastStatistics() for stage in model.global_keys}
    for images, masks in batches:
        for stage, attention in model.global_attention(images).items():
            there = resize_mask(masks, *attention.shape[1:3]).numpy()
            statistics[stage].update(attention, there)
    return {f"D{stage}": found.result() for stage, found in statistics.items()}


def contrast_table(results: dict[str, dict]) -> str:
    """Formats the results of `measure_contrast` as a table."""
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
                f"  {left_out} of {result['images'] + left_out} images excluded: no "
                "foreground or no background on the map or the grid"
            )
    return "".join(f"{line}\n" for line in lines)


def _summary(attention: np.ndarray, uniform: np.ndarray) -> dict[str, float]:
    return {
        "attention": float(attention.mean()),
        "uniform": float(uniform.mean()),
        "images_above_uniform": float((attention > uniform).mean()),
    }
