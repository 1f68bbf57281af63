"""Does global attention look at the other side, foreground or background?"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from picanet_tf.core.errors import PicanetError
from picanet_tf.models.context_modules import global_positions
from picanet_tf.saliency.targets import resize_mask


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
        model: an `inference.attention.AttentionModel`.
        batches: (images float32 [N, S, S, 3] of 0..255, masks [N, S, S, 1] of 0..1).

    Returns:
        {"D<decoding stage>": `ContrastStatistics.result`} of each module with GAP.

    Raises:
        PicanetError: the network has no GAP, or no image has both sides.
    """
    statistics = {stage: ContrastStatistics() for stage in model.global_keys}
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
