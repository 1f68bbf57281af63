"""Measures how much global attention falls on the opposite class (global contrast)."""

from __future__ import annotations

import numpy as np

from picanet_tf.core.errors import PicanetError
from picanet_tf.models.context_modules import global_positions


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
            "foreground_on_background": summarize_shares(shares[:, 0], shares[:, 1]),
            "background_on_foreground": summarize_shares(shares[:, 2], shares[:, 3]),
        }


def summarize_shares(attention: np.ndarray, uniform: np.ndarray) -> dict[str, float]:
    """Returns the means over the images, and how many are above uniform attention."""
    return {
        "attention": float(attention.mean()),
        "uniform": float(uniform.mean()),
        "images_above_uniform": float((attention > uniform).mean()),
    }
