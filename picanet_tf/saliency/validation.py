"""Validation during training, at the network's input size.

These scores are for monitoring; `evaluate.py` scores at each mask's size, as is usual
in papers.
"""

from __future__ import annotations

import math

import numpy as np

from picanet_tf.saliency.metrics import SaliencyMetrics
from picanet_tf.tasks.base import Validation


class SaliencyValidation(Validation):
    """Scores saliency maps by max F and MAE.

    Example:
        >>> validation = SaliencyValidation()
        >>> validation.update(outputs, masks)
        >>> validation.result()
        {'max_f': 0.81, 'mae': 0.09}
    """

    best = "max_f"
    without_object_rule = "they count for mae, not for max_f"

    def __init__(self):
        self._metrics = SaliencyMetrics(which=("max_f", "mae"))

    def update(self, outputs: dict[str, np.ndarray], masks: np.ndarray) -> None:
        """Adds a batch: `stage1` float [N, S, S, 1] logits, masks [N, S, S, 1] 0..1."""
        for logits, mask in zip(outputs["stage1"], masks, strict=True):
            row = self._metrics.update(sigmoid(logits[..., 0]), mask[..., 0])
            self.count([not row.empty])

    def result(self) -> dict[str, float]:
        """Returns the scores; max F is NaN if no image has an object."""
        return dict(self._metrics.result().scores)

    @classmethod
    def criterion(cls, scores):
        """Returns max F, or the negative MAE if no image has an object."""
        if math.isnan(scores["max_f"]):
            return "mae", -scores["mae"]
        return super().criterion(scores)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Computes the sigmoid of logits in float32, without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * logits.astype(np.float32)))


def panel(
    image: np.ndarray, mask: np.ndarray, outputs: dict[str, np.ndarray]
) -> np.ndarray:
    """Draws image, mask and prediction side by side.

    Args:
        image: float [S, S, 3], RGB 0..255.
        mask: float [S, S, 1], 0..1.
        outputs: `stage1` float [S, S, 1], logits.

    Returns:
        uint8 [S, 3 S, 3].
    """
    grey = [mask, sigmoid(outputs["stage1"])]
    tiles = [image] + [np.repeat(tile * 255.0, 3, axis=-1) for tile in grey]
    return np.concatenate(tiles, axis=1).clip(0, 255).astype(np.uint8)
