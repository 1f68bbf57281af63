"""Scores of saliency maps against masks (paper, Sec. 5.2), one image at a time.

Does not import TensorFlow: maps and masks are NumPy arrays, so that published maps of
other methods can be scored with the same code.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from picanet_tf.saliency.measures import (
    THRESHOLDS,
    adaptive_f,
    alignment_measure,
    binarize,
    f_measure,
    precision_recall,
    stretch,
    structure_measure,
    to_unit_range,
    weighted_f,
)

# Scores by the measure that computes them. "pr" takes less than a millisecond per
# image; the measures in the last three rows account for most of the time.
_MEASURES = {
    "pr": ("max_f", "max_mean_f", "mean_f"),
    "adaptive": ("adaptive_f",),
    "mae": ("mae",),
    "s": ("s_measure",),
    "e": ("max_e", "mean_e", "adaptive_e"),
    "weighted": ("weighted_f",),
}
SCORES = tuple(score for scores in _MEASURES.values() for score in scores)


class ImageScores(NamedTuple):
    """Scores of one image; None if not requested, or for F, if the mask is empty.

    `max_f` is the maximum of this image's F curve.
    """

    name: str
    empty: bool
    max_f: float | None = None
    adaptive_f: float | None = None
    mae: float | None = None
    s_measure: float | None = None
    adaptive_e: float | None = None
    weighted_f: float | None = None


class Measured(NamedTuple):
    """The result of `SaliencyMetrics.measure`; curves are `(256,)` float64.

    Attributes:
        row: scores of the image.
        precision: at threshold t/255; None if not requested or the mask is empty.
        recall: as `precision`.
        alignment: E-measure at threshold t/255; None if not requested.
    """

    row: ImageScores
    precision: np.ndarray | None = None
    recall: np.ndarray | None = None
    alignment: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class SaliencyScores:
    """Scores of a set of images.

    Attributes:
        scores: {name: mean over the images} of the requested scores, in the order of
            `SCORES`; NaN if no image counts.
        images: number of images.
        empty: number of images with an empty mask, which F and the curves exclude.
        normalize: whether each map was min-max normalized to 0..1.
        precision: `(256,)` float64, mean over the images at threshold t/255, in
            ascending order; None if no score based on the curves was requested.
        recall: as `precision`; `recall[0]` is 1.
        f: `(256,)` float64 or None, F of `precision` and `recall`; its maximum is
            `max_f`.
        rows: scores of each image, in the order of the updates.
    """

    scores: dict[str, float]
    images: int
    empty: int
    normalize: bool
    precision: np.ndarray | None
    recall: np.ndarray | None
    f: np.ndarray | None
    rows: tuple[ImageScores, ...]


class SaliencyMetrics:
    """Accumulates the scores of saliency maps; keeps only sums and a row per image.

    Scores, all in 0..1, with beta^2 = 0.3 unless stated otherwise:

    - `max_f`, as in the paper: precision and recall are averaged over the images at
      each of 256 thresholds; F is computed from the means, and its maximum taken.
    - `max_mean_f`, as in PySODMetrics: F of each image is averaged over the images at
      each threshold, and the maximum taken. Typically 0.03-0.04 below `max_f`.
    - `mean_f`: the mean of the same curve over the thresholds.
    - `adaptive_f`: F at twice the map's mean (at most 1), averaged over the images.
    - `mae`: mean absolute error against the 0/1 mask; lower is better.
    - `s_measure`: structure measure, alpha 0.5 (Fan et al., ICCV 2017).
    - `max_e`, `mean_e`, `adaptive_e`: enhanced-alignment measure (Fan et al., IJCAI
      2018), aggregated like `max_mean_f`, `mean_f` and `adaptive_f`.
    - `weighted_f`: weighted F, beta^2 = 1 (Margolin et al., CVPR 2014).

    The conventions are those of PySODMetrics 1.6, except for empty masks:

    - The foreground of a mask is above 128 of 255 (float masks are rounded to 8 bits
      first).
    - With `normalize`, each map is min-max normalized to 0..1, as is common in the
      field, so a map with only the grey levels 10 and 60 can get a perfect score.
      Constant maps are unchanged.
    - A pixel is positive at threshold t if `floor(255 * map) >= t`. If no pixel is,
      precision and recall are 0; without `normalize` this lowers high thresholds.
    - Floating-point maps are not rounded to 8 bits first. Normalization aside, MAE
      differs by less than 0.004 from that of the same maps saved as PNG.
    - The recall of an image with an *empty* mask is undefined, so the image counts for
      MAE, S and E but not for F and the curves. PySODMetrics counts it with precision,
      recall and F of 0: each of its F scores is exactly ours times
      `(images - empty) / images`.

    Args:
        normalize: see above.
        which: names of the scores to compute, from `SCORES`; None for all. Unneeded
            measures are skipped: `("max_f", "mae")` suits validation during training.

    Raises:
        ValueError: if `which` contains an unknown score.

    Example:
        >>> metrics = SaliencyMetrics()
        >>> metrics.update(saliency_map, mask, name="0001")
        >>> metrics.result().scores["max_f"]

    Reference:
        Sec. 5.2.
    """

    def __init__(
        self, normalize: bool = True, which: Sequence[str] | None = None
    ) -> None:
        which = SCORES if which is None else tuple(which)
        unknown = [name for name in which if name not in SCORES]
        if unknown:
            raise ValueError(
                f"`which` must name scores out of {', '.join(SCORES)}. "
                f"Received: {unknown[0]!r}"
            )
        self.normalize = normalize
        self._which = tuple(name for name in SCORES if name in which)
        self._measures = {
            measure for measure, names in _MEASURES.items() if set(names) & set(which)
        }
        self._rows: list[ImageScores] = []
        self._precision = np.zeros(THRESHOLDS)
        self._recall = np.zeros(THRESHOLDS)
        self._f = np.zeros(THRESHOLDS)
        self._e = np.zeros(THRESHOLDS)

    def update(
        self,
        prediction: np.ndarray,
        ground_truth: np.ndarray,
        name: str | None = None,
    ) -> ImageScores:
        """Adds one image.

        Args:
            prediction: `(height, width)`, float 0..1 or uint8 0..255.
            ground_truth: `(height, width)`, bool, float 0..1 or uint8 0..255.
            name: name of the image in the rows; defaults to its index.

        Returns:
            The scores of this image.

        Raises:
            ValueError: if the shapes differ or are not `(height, width)`, or if values
                are out of range or not finite.
        """
        if name is None:
            name = str(len(self._rows))
        measured = self.measure(prediction, ground_truth, name)
        self.add(measured)
        return measured.row

    @property
    def settings(self) -> tuple[bool, tuple[str, ...]]:
        """The constructor's arguments."""
        return self.normalize, self._which

    def measure(
        self, prediction: np.ndarray, ground_truth: np.ndarray, name: str = ""
    ) -> Measured:
        """Computes the scores of one image without adding them, for worker processes.

        `update` is `measure` followed by `add`. Args and raises as `update`.
        """
        prediction = to_unit_range(prediction, "prediction")
        mask = binarize(ground_truth)
        if prediction.shape != mask.shape:
            raise ValueError(
                "`prediction` must have the size of `ground_truth`. Received: "
                f"{prediction.shape} and {mask.shape}"
            )
        if self.normalize:
            prediction = stretch(prediction)

        scores: dict[str, float] = {}
        precision = recall = alignment = None
        empty = not mask.any()
        if "mae" in self._measures:
            scores["mae"] = float(np.mean(np.abs(prediction - mask)))
        if "s" in self._measures:
            scores["s_measure"] = structure_measure(prediction, mask)
        if "e" in self._measures:
            alignment, scores["adaptive_e"] = alignment_measure(prediction, mask)
        if "pr" in self._measures and not empty:
            precision, recall = precision_recall(prediction, mask)
            scores["max_f"] = float(f_measure(precision, recall).max())
        if "adaptive" in self._measures and not empty:
            scores["adaptive_f"] = adaptive_f(prediction, mask)
        if "weighted" in self._measures and not empty:
            scores["weighted_f"] = weighted_f(prediction, mask)
        row = ImageScores(name, empty)._replace(**scores)
        return Measured(row, precision, recall, alignment)

    def add(self, measured: Measured) -> None:
        """Adds the result of `measure`."""
        if measured.precision is not None:
            self._precision += measured.precision
            self._recall += measured.recall
            self._f += f_measure(measured.precision, measured.recall)
        if measured.alignment is not None:
            self._e += measured.alignment
        self._rows.append(measured.row)

    def result(self) -> SaliencyScores:
        """Returns the scores of all images so far."""
        with_object = sum(not row.empty for row in self._rows)
        precision = recall = f = None
        means = {
            name: _mean(getattr(row, name) for row in self._rows)
            for name in ("adaptive_f", "mae", "s_measure", "adaptive_e", "weighted_f")
        }
        if "pr" in self._measures:
            precision = _divide(self._precision, with_object)
            recall = _divide(self._recall, with_object)
            f = f_measure(precision, recall)
            mean_f = _divide(self._f, with_object)
            means["max_f"] = float(f.max())
            means["max_mean_f"] = float(mean_f.max())
            means["mean_f"] = float(mean_f.mean())
        if "e" in self._measures:
            mean_e = _divide(self._e, len(self._rows))
            means["max_e"] = float(mean_e.max())
            means["mean_e"] = float(mean_e.mean())
        return SaliencyScores(
            scores={name: means[name] for name in self._which},
            images=len(self._rows),
            empty=len(self._rows) - with_object,
            normalize=self.normalize,
            precision=precision,
            recall=recall,
            f=f,
            rows=tuple(self._rows),
        )


def _mean(values) -> float:
    values = [value for value in values if value is not None]
    return math.fsum(values) / len(values) if values else math.nan


def _divide(total: np.ndarray, count: int) -> np.ndarray:
    return total / count if count else np.full_like(total, math.nan)
