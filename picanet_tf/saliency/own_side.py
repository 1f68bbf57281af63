"""Measures how much local attention stays on the pixel's own side of the object."""

from __future__ import annotations

import numpy as np

from picanet_tf.saliency.contrast import summarize_shares

_SIDES = {"foreground_on_foreground": True, "background_on_background": False}


class OwnSideStatistics:
    """Share of local attention on the pixel's own class ("regional smoothness").

    The paper finds that local attention of a foreground pixel mainly falls on the
    foreground, and of a background pixel on the background (Sec. 5.4). Only pixels
    whose window has both are counted: elsewhere attention has no choice. The shares
    are averaged over the pixels of an image, then over images. The share under uniform
    attention, i.e. the fraction of such positions, is given for comparison. Positions
    outside the map are excluded. The gates of attention convolution are divided by
    their sum.

    Args:
        kernel_size: number of window positions along each side.
        dilation_rate: distance between neighbouring window positions.
    """

    def __init__(self, kernel_size: int, dilation_rate: int):
        self._kernel_size, self._dilation_rate = kernel_size, dilation_rate
        self._shares: dict[str, list[tuple[float, float]]] = {s: [] for s in _SIDES}
        self._images = 0

    def update(self, attention: np.ndarray, mask: np.ndarray) -> None:
        """Adds a batch.

        Args:
            attention: of LAP or AC, float [N, h, w, K*K], window positions row-major.
            mask: [N, h, w, 1], 1 in the foreground and 0 elsewhere.
        """
        for weights, salient in zip(np.asarray(attention), mask, strict=True):
            self._images += 1
            self._add(weights, np.asarray(salient)[..., 0] > 0.5)

    def _add(self, weights: np.ndarray, salient: np.ndarray) -> None:
        inside = self._windows(np.ones_like(salient))
        same = inside & (self._windows(salient) == salient[..., np.newaxis])
        uniform = same.sum(-1) / inside.sum(-1)
        own = (weights * same).sum(-1) / (weights * inside).sum(-1)
        for name, side in _SIDES.items():
            chosen = (salient == side) & (uniform < 1)
            if chosen.any():
                shares = float(own[chosen].mean()), float(uniform[chosen].mean())
                self._shares[name].append(shares)

    def _windows(self, flags: np.ndarray) -> np.ndarray:
        """Returns the flags in each pixel's window [h, w, K*K], False outside."""
        size, step = self._kernel_size, self._dilation_rate
        margin = step * (size // 2)
        padded = np.pad(flags, margin)
        height, width = flags.shape
        starts = range(0, step * size, step)
        return np.stack(
            [padded[y : y + height, x : x + width] for y in starts for x in starts], -1
        )

    def result(self) -> dict:
        """Returns the shares in 0..1 and the number of images.

        A share is left out if no pixel of that side has a window with both sides.
        """
        result = {"images": self._images}
        for name, shares in self._shares.items():
            if shares:
                result[name] = summarize_shares(*np.array(shares).T)
        return result
