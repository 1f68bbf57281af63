"""Bootstrap intervals of scores over the images of a data set.

Images are resampled with replacement, and each resampled set is scored. The intervals
do not cover the variance between trainings or seeds. Does not import TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

RESAMPLES = 1_000
_CHUNK = 100


def resample_counts(
    images: int, resamples: int = RESAMPLES, seed: int = 0
) -> Iterator[np.ndarray]:
    """Yields how often each image is drawn, in chunks of resampled sets.

    The same number of images and the same seed draw the same images, so that the draws
    of two methods on a data set are paired.

    Args:
        images: number of images in the data set, and in each resampled set.
        resamples: number of resampled sets.
        seed: seed of the draws.

    Yields:
        int64 [chunk, images]; each row sums to `images`.
    """
    generator = np.random.default_rng(seed)
    for first in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - first)
        yield generator.multinomial(images, [1 / images] * images, size)


def interval(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Returns the central interval that contains a share `level` of the draws.

    NaN is ignored; the interval is NaN if there is nothing else.
    """
    tail = (1 - level) / 2
    draws = draws[~np.isnan(draws)]
    if not draws.size:
        return float("nan"), float("nan")
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)
