"""Sharpens the edges of a saliency map along those of its photo.

Does not import TensorFlow.
"""

from __future__ import annotations

import numpy as np

from picanet_tf.core.resizing import resize, resized_bands
from picanet_tf.drawing.box_filters import box_mean, shrink, window_radius, working_size

EDGES = ("guided", "plain")

# Chosen on 60 images each of DUTS-TR and of photos with hair; see docs/results.md.
_RADIUS = 0.02  # of the windows, as a fraction of the longer side
_EPSILON = 1e-4  # variance of the guide (0..1) below which the map is smoothed


def sharpen(values: np.ndarray) -> np.ndarray:
    """Squares the odds v / (1 - v) of values in 0..1.

    0, 0.5 and 1 are fixed points; a slope gets twice as steep at 0.5.
    """
    rest = np.square(1 - values)
    values = np.square(values)
    return values / (values + rest)


def guide_edges(saliency: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Guided upsampling: gives a blurred map the edges of its photo.

    The fast guided filter (K. He and J. Sun, "Fast Guided Filter", arXiv:1505.00996)
    with the colours as guide: in each window, the map is fitted as a linear function of
    the colours, at a reduced size. The functions are averaged, enlarged and applied to
    all pixels. Because the fit blurs where the photo is flat, the odds of the map are
    squared before and after.

    Args:
        saliency: float [H, W] in [0, 1], typically a map of 224 x 224 pixels resized to
            the photo's size.
        image: uint8 [H, W, 3].

    Returns:
        float32 [H, W] in [0, 1].
    """
    coarse = resize(saliency, working_size(saliency.shape))
    return sharpen(fit_edges(sharpen(np.clip(coarse, 0, 1)), image, _RADIUS))


def fit_edges(coarse: np.ndarray, image: np.ndarray, radius: float = 0.0) -> np.ndarray:
    """Enlarges a map to the photo's size by the fast guided filter.

    Args:
        coarse: float [h, w] in [0, 1].
        image: uint8 [H, W, 3].
        radius: radius of the windows, as a fraction of the longer side; at least one
            pixel is used.

    Returns:
        float32 [H, W] in [0, 1].
    """
    guide = shrink(image, coarse.shape)
    model = _linear_model(guide, coarse, window_radius(radius, coarse.shape))
    refined = np.empty(image.shape[:2], np.float32)
    for rows, band in resized_bands(model, image.shape[:2]):
        values = np.einsum("hwc,hwc->hw", band[..., :3], image[rows]) / 255
        refined[rows] = np.clip(values + band[..., 3], 0, 1)
    return refined


def _linear_model(guide: np.ndarray, values: np.ndarray, radius: int) -> np.ndarray:
    """Fits values = slopes . guide + offset in each window.

    Args:
        guide: float32 [H, W, 3].
        values: float32 [H, W].

    Returns:
        float32 [H, W, 4], slopes and offset, averaged over the windows of a pixel.
    """
    mean_guide, mean_values = box_mean(guide, radius), box_mean(values, radius)
    products = guide[..., :, np.newaxis] * guide[..., np.newaxis, :]
    covariance = box_mean(products, radius) - (
        mean_guide[..., :, np.newaxis] * mean_guide[..., np.newaxis, :]
    )
    joint = box_mean(guide * values[..., np.newaxis], radius) - (
        mean_guide * mean_values[..., np.newaxis]
    )
    covariance += _EPSILON * np.eye(3, dtype=np.float32)
    slopes = np.linalg.solve(covariance, joint[..., np.newaxis])[..., 0]
    offset = mean_values - (slopes * mean_guide).sum(-1)
    return box_mean(np.dstack([slopes, offset]), radius)
