"""How far a score would move with other images: bootstrap intervals.

Images are drawn with replacement, as many as there are, and the set is scored anew.
What another training run or another seed would change is not in it. Imports no
TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

RESAMPLES = 1_000
_CHUNK = 100


def resample_counts(
    images: int, resamples: int = RESAMPLES, seed: int = 0
) -> Iterator[np.ndarray]:
    """How often each image is drawn, in chunks of resampled sets.

    Equal numbers of images and equal seeds draw the same images, so that the draws of
    two methods on one data set are paired.

    Yields:
        int64 [chunk, images]; each row sums to `images`.
    """
    generator = np.random.default_rng(seed)
    for first in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - first)
        yield generator.multinomial(images, [1 / images] * images, size)


def interval(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The central interval that holds `level` of the draws, NaNs left out."""
    tail = (1 - level) / 2
    draws = draws[~np.isnan(draws)]
    if not draws.size:
        return float("nan"), float("nan")
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)
