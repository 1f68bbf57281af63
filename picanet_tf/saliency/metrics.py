"""Scores of saliency maps against masks (paper, Sec. 5.2), one image at a time.

No TensorFlow here: maps and masks are NumPy arrays, so that published maps of other
methods can be scored by the same code.
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

# Which measure yields which scores. "pr" costs under a millisecond an image, the
# measures in the last three rows most of the time.
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
    """Scores of one image; None where not asked for or, of F, where the mask is empty.

    `max_f` is the maximum of the image's own F curve.
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
    """What `SaliencyMetrics.measure` found in one image; curves are `(256,)` float64.

    Attributes:
        row: Its scores.
        precision: At threshold t/255; None where not asked for or the mask is empty.
        recall: As above.
        alignment: E-measure at threshold t/255; None where not asked for.
    """

    row: ImageScores
    precision: np.ndarray | None = None
    recall: np.ndarray | None = None
    alignment: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class SaliencyScores:
    """Scores of a set of images.

    Attributes:
        scores: Means over the set by name, in the order of `SCORES`; only those asked
            for. NaN where no image counts.
        images: Number of images.
        empty: Number of images whose mask is empty. F scores and curves leave them out.
        normalize: Whether maps were stretched to 0..1 image by image.
        precision: `(256,)` float64, mean over the images at threshold t/255, t rising;
            None unless a score of the curves was asked for. So are the next two.
        recall: `(256,)` float64, as above. `recall[0]` is 1.
        f: `(256,)` float64, F of these two; its maximum is `max_f`.
        rows: Each image's own scores, in the order of the updates.
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
    """Accumulates the scores of saliency maps; only sums are kept, and a row an image.

    Scores, all 0..1, with beta^2 = 0.3 where not said otherwise:

    - `max_f`, the paper's: precision and recall averaged over the images at each of 256
      thresholds, then F, then the maximum.
    - `max_mean_f`, PySODMetrics': F of each image at each threshold, averaged over the
      images, then the maximum. Typically 0.03-0.04 below `max_f`.
    - `mean_f`: the mean over the thresholds of that same curve.
    - `adaptive_f`: F at twice the map's mean, at most 1, averaged over the images.
    - `mae`: mean absolute error against the 0/1 mask; lower is better.
    - `s_measure`: structure measure, alpha 0.5 (Fan et al., ICCV 2017).
    - `max_e`, `mean_e`, `adaptive_e`: enhanced-alignment measure (Fan et al., IJCAI
      2018), over the thresholds as `max_mean_f`, `mean_f` and `adaptive_f`.
    - `weighted_f`: weighted F, beta^2 = 1 (Margolin et al., CVPR 2014).

    Conventions, those of PySODMetrics 1.6 but for empty masks:

    - A mask's foreground is above 128 of 255 (a float mask is rounded to greys first).
    - With `normalize`, each map is stretched to 0..1 by its minimum and maximum, as the
      field does; a map in two greys 10 and 60 can then score perfectly. A constant map
      stays as it is.
    - A pixel is predicted at threshold t where `floor(255 * map) >= t`. Where none is,
      precision is 0 (and recall too); without `normalize` this lowers high thresholds.
    - Floating-point maps are not rounded to 256 greys first, which moves MAE by less
      than 0.004 against the same maps saved as PNG, stretching aside.
    - An image whose mask is *empty* has no recall, so that it counts for MAE, S and E,
      which are defined, but not for F and the curves. PySODMetrics counts it there with
      precision, recall and F of 0: each of its F scores is ours times
      `(images - empty) / images`, exactly.

    Args:
        normalize: As above.
        which: Names of the scores wanted, out of `SCORES`. None: all. Only what these
            need is computed: `("max_f", "mae")` suits validation while training.

    Raises:
        ValueError: If `which` names an unknown score.

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
            name: What to call it in the rows. None: its number, from 0.

        Returns:
            The image's own scores.

        Raises:
            ValueError: If the two differ in size, are not `(height, width)`, or have
                values out of range or not finite.
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
        """The first half of `update`: measures, and leaves the sums as they are.

        So that worker processes can measure, and one process `add`s in order.
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
        """The second half of `update`."""
        if measured.precision is not None:
            self._precision += measured.precision
            self._recall += measured.recall
            self._f += f_measure(measured.precision, measured.recall)
        if measured.alignment is not None:
            self._e += measured.alignment
        self._rows.append(measured.row)

    def result(self) -> SaliencyScores:
        """Scores of the images so far."""
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
