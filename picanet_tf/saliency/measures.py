"""Measures that compare one saliency map with its mask (paper, Sec. 5.2).

Maps are float [H, W] in 0..1 and masks bool [H, W], see `to_unit_range` and `binarize`.
Does not import TensorFlow.
"""

from __future__ import annotations

import numpy as np

BETA_SQUARED = 0.3  # Sec. 5.2: precision counts more than recall
THRESHOLDS = 256


def precision_recall(
    prediction: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Computes precision and recall at the thresholds 0/255, 1/255, ..., 255/255.

    Args:
        prediction: `(height, width)`, float, 0..1.
        mask: `(height, width)`, bool, not empty.

    Returns:
        Precision and recall, each `(256,)` float64. Precision is 0 where nothing is
        predicted.
    """
    greys = (prediction * 255).astype(np.uint8)
    hits = _at_least(np.bincount(greys[mask], minlength=THRESHOLDS))
    predicted = _at_least(np.bincount(greys.ravel(), minlength=THRESHOLDS))
    return hits / np.maximum(predicted, 1), hits / np.count_nonzero(mask)


def f_measure(
    precision: np.ndarray | float, recall: np.ndarray | float
) -> np.ndarray | np.float64:
    """Returns (1 + beta^2) P R / (beta^2 P + R), or 0 where both are 0."""
    total = BETA_SQUARED * np.asarray(precision) + recall
    product = (1 + BETA_SQUARED) * np.asarray(precision) * recall
    return product / np.where(total == 0, 1, total)


def adaptive_f(prediction: np.ndarray, mask: np.ndarray) -> float:
    """Returns F at the adaptive threshold: twice the map's mean, at most 1."""
    predicted = prediction >= min(2 * prediction.mean(), 1)
    hits = np.count_nonzero(predicted & mask)
    precision = hits / max(np.count_nonzero(predicted), 1)
    return float(f_measure(precision, hits / np.count_nonzero(mask)))


# PySODMetrics is imported lazily: it depends on OpenCV and scikit-image, which take
# 1.6 s to import and may lack system libraries on a minimal server. The scores used for
# validation in training, max F and MAE, do not need it.


def structure_measure(prediction: np.ndarray, mask: np.ndarray) -> float:
    """Returns the S-measure with alpha = 0.5 (Fan et al., ICCV 2017)."""
    from py_sod_metrics import Smeasure

    measure = Smeasure(alpha=0.5)
    similarity = measure.ssim
    # The image is divided into quadrants at the object's centroid. If that is in the
    # last row or column, some quadrants are empty: PySODMetrics' similarity is NaN for
    # them, and so is the score, although their weight is 0.
    measure.ssim = lambda pred, gt: similarity(pred, gt) if pred.size else 0.0
    return float(measure.cal_sm(prediction, mask))


def alignment_measure(
    prediction: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, float]:
    """Returns the E-measure curve, `(256,)`, and the adaptive E-measure.

    Reference: Fan et al., IJCAI 2018.
    """
    from py_sod_metrics import Emeasure

    measure = Emeasure()
    measure.step(prediction, mask, normalize=False)
    curve, adaptive = measure.changeable_ems[0], float(measure.adaptive_ems[0])
    if mask.size == 1:  # PySODMetrics divides by the number of pixels - 1 + 2e-16.
        curve, adaptive = np.minimum(curve, 1), min(adaptive, 1.0)
    return curve, adaptive


def weighted_f(prediction: np.ndarray, mask: np.ndarray) -> float:
    """Returns weighted F with beta^2 = 1 (Margolin et al., CVPR 2014)."""
    from py_sod_metrics import WeightedFmeasure

    return float(WeightedFmeasure(beta=1).cal_wfm(prediction, mask))


def _at_least(histogram: np.ndarray) -> np.ndarray:
    return np.cumsum(histogram[::-1])[::-1]


def to_unit_range(values: np.ndarray, argument: str) -> np.ndarray:
    """Converts float 0..1, uint8 0..255 or bool to `(height, width)` float64 0..1."""
    values = np.asarray(values)
    if values.ndim != 2 or not values.size:
        raise ValueError(
            f"`{argument}` must have the shape (height, width). "
            f"Received: {values.shape}"
        )
    if values.dtype == np.uint8:
        return values / 255
    if values.dtype != bool and not np.issubdtype(values.dtype, np.floating):
        raise ValueError(
            f"`{argument}` must be floating-point 0..1 or uint8 0..255. "
            f"Received: dtype={values.dtype}"
        )
    values = values.astype(np.float64)
    low, high = values.min(), values.max()
    # Resizing in float32 may exceed 1 by a rounding error.
    if not (low >= -1e-5 and high <= 1 + 1e-5):
        raise ValueError(
            f"`{argument}` of floating-point numbers must be in 0..1. "
            f"Received: values in {low:.4g}..{high:.4g}"
        )
    return values.clip(0, 1)


def binarize(ground_truth: np.ndarray) -> np.ndarray:
    """Converts a mask to bool [H, W]; foreground is above 128 of 255."""
    ground_truth = np.asarray(ground_truth)
    # Interpreted as 0..255, this would be an empty mask and all scores silently wrong.
    if ground_truth.dtype == np.uint8 and ground_truth.size and ground_truth.max() == 1:
        raise ValueError(
            "`ground_truth` of dtype uint8 must be 0..255; pass 0 and 1 as bool. "
            "Received: a maximum of 1"
        )
    # Rounded because 128 / 255 * 255 may differ from 128.
    return np.rint(to_unit_range(ground_truth, "ground_truth") * 255) > 128


def stretch(prediction: np.ndarray) -> np.ndarray:
    """Min-max normalizes a map to 0..1; a constant map is returned unchanged."""
    low, high = prediction.min(), prediction.max()
    if low == high:
        return prediction
    return (prediction - low) / (high - low)
