"""Bootstrap draws of the saliency scores. Does not import TensorFlow."""

from __future__ import annotations

import numpy as np

from picanet_tf.evaluation.bootstrap import RESAMPLES, resample_counts
from picanet_tf.saliency.evaluation import Evaluation
from picanet_tf.saliency.measures import f_measure


def draw_scores(
    evaluation: Evaluation, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, np.ndarray]:
    """Computes `max_f`, `mae` and `s_measure`, if available, on resampled data sets.

    The same number of images and the same seed give paired draws, see
    `resample_counts`.

    Returns:
        {score: float64 `(resamples,)`}; `max_f` is NaN where no drawn image has an
        object.
    """
    rows = evaluation.scores.rows
    values = {
        name: np.array([getattr(row, name) for row in rows])
        for name in ("mae", "s_measure")
        if name in evaluation.scores.scores
    }
    with_object = np.array([not row.empty for row in rows], np.float32)
    draws: dict[str, list] = {}
    for counts in resample_counts(len(rows), resamples, seed):
        if "max_f" in evaluation.scores.scores:
            draws.setdefault("max_f", []).append(
                _max_f(evaluation, np.float32(counts), with_object)
            )
        for name, each in values.items():
            draws.setdefault(name, []).append(counts @ each / len(rows))
    return {name: np.concatenate(parts) for name, parts in draws.items()}


def _max_f(evaluation: Evaluation, counts: np.ndarray, with_object: np.ndarray):
    images = (counts @ with_object)[:, np.newaxis]
    images[images == 0] = np.nan
    precision = counts @ evaluation.precision / images
    recall = counts @ evaluation.recall / images
    return f_measure(precision, recall).max(axis=1).astype(np.float64)
