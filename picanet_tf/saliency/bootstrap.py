"""How far a score would move with other images: bootstrap intervals.

Images are drawn with replacement, as many as there are, 1,000 times, and the set is
scored anew. What another training run or another seed would change is not in it.
"""

from __future__ import annotations

import numpy as np

from picanet_tf.saliency.evaluation import Evaluation
from picanet_tf.saliency.metrics import f_measure

RESAMPLES = 1_000
_CHUNK = 100


def draw_scores(
    evaluation: Evaluation, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, np.ndarray]:
    """`max_f`, `mae` and `s_measure`, where they were measured, of resampled sets.

    Equal numbers of images and equal seeds draw the same images, so that the draws of
    two methods on one data set are paired.

    Returns:
        {score: float64 `(resamples,)`}; NaN for `max_f` where no drawn image has an
        object.
    """
    rows = evaluation.scores.rows
    values = {
        name: np.array([getattr(row, name) for row in rows])
        for name in ("mae", "s_measure")
        if name in evaluation.scores.scores
    }
    with_object = np.array([not row.empty for row in rows], np.float32)
    generator = np.random.default_rng(seed)
    draws: dict[str, list] = {}
    for first in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - first)
        counts = generator.multinomial(len(rows), [1 / len(rows)] * len(rows), size)
        if "max_f" in evaluation.scores.scores:
            draws.setdefault("max_f", []).append(
                _max_f(evaluation, np.float32(counts), with_object)
            )
        for name, each in values.items():
            draws.setdefault(name, []).append(counts @ each / len(rows))
    return {name: np.concatenate(parts) for name, parts in draws.items()}


def interval(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The central interval that holds `level` of the draws, NaNs left out."""
    tail = (1 - level) / 2
    draws = draws[~np.isnan(draws)]
    if not draws.size:
        return float("nan"), float("nan")
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def _max_f(evaluation: Evaluation, counts: np.ndarray, with_object: np.ndarray):
    images = (counts @ with_object)[:, np.newaxis]
    images[images == 0] = np.nan
    precision = counts @ evaluation.precision / images
    recall = counts @ evaluation.recall / images
    return f_measure(precision, recall).max(axis=1).astype(np.float64)
