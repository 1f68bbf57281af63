"""Estimates colours of an object without its background. Does not import TensorFlow."""

from __future__ import annotations

import numpy as np

from picanet_tf.core.resizing import resized_bands
from picanet_tf.drawing.box_filters import box_mean, shrink, window_radius, working_size

# Window radii of the two passes, as fractions of the longer side.
_RADII = (0.09, 0.01)
_TINY = 1e-5
_BLUR = 0.02  # radius of `blurred_background`, as a fraction of the longer side


def estimate_foreground(
    image: np.ndarray, alpha: np.ndarray, opacity: np.ndarray | None = None
) -> np.ndarray:
    """Removes the background's share from the colours of half-transparent pixels.

    A pixel of the photo is alpha F + (1 - alpha) B. F is estimated by blur fusion (M.
    Forté, "Approximate Fast Foreground Colour Estimation", ICIP 2021): weighted means
    of the colours around the pixel, corrected so that the equation holds. This is done
    twice, with a large and a small window. Without it, a cut-out keeps a rim of the
    background.

    Args:
        image: uint8 [H, W, 3].
        alpha: float [H, W] in [0, 1], share of the object.
        opacity: float [H, W] in [0, 1], weights of the pixels; 0 where the photo is
            transparent. None for 1 everywhere.

    Returns:
        uint8 [H, W, 3]; the photo's colours where alpha rounds to 0 or 255.
    """
    size = working_size(alpha.shape)
    small, inside = shrink(image, size), shrink(alpha, size)[..., np.newaxis]
    weight = 1 if opacity is None else shrink(opacity, size)[..., np.newaxis]
    foreground = background = small
    for fraction in _RADII:
        radius = window_radius(fraction, size)
        mean_foreground = _weighted_mean(foreground, weight * inside, radius)
        mean_background = _weighted_mean(background, weight * (1 - inside), radius)
        fused = inside * mean_foreground + (1 - inside) * mean_background
        foreground = np.clip(mean_foreground + inside * (small - fused), 0, 1)
        background = mean_background
    means = np.dstack([mean_foreground, mean_background])

    colours = image.copy()
    for rows, band in resized_bands(means, alpha.shape):
        share = alpha[rows]
        # Other shares are 0 or 1 in 8 bits.
        mixed = (share > 1 / 510) & (share < 1 - 1 / 510)
        share, band = share[mixed][:, np.newaxis], 255 * band[mixed]
        fused = share * band[:, :3] + (1 - share) * band[:, 3:]
        estimate = band[:, :3] + share * (image[rows][mixed] - fused)
        colours[rows][mixed] = np.round(np.clip(estimate, 0, 255))
    return colours


def blurred_background(
    image: np.ndarray, alpha: np.ndarray, opacity: np.ndarray | None = None
) -> np.ndarray:
    """Blurs the photo without its object, which would shine through around the edges.

    Args:
        image, alpha, opacity: as in `estimate_foreground`.

    Returns:
        uint8 [H, W, 3].
    """
    size = working_size(alpha.shape)
    blurred, weight = shrink(image, size), (1 - shrink(alpha, size)) ** 4
    if opacity is not None:
        weight *= shrink(opacity, size)
    # Far inside a large object, only its own colours are available.
    weight = np.maximum(weight, 1e-3)[..., np.newaxis]
    radius = window_radius(_BLUR, size)
    for _ in range(3):  # Three boxes approximate a Gaussian.
        blurred = _weighted_mean(blurred, weight, radius)
        weight = box_mean(weight, radius)
    filled = np.empty_like(image)
    for rows, band in resized_bands(blurred, alpha.shape):
        filled[rows] = np.round(np.clip(255 * band, 0, 255))
    return filled


def _weighted_mean(colours, weights, radius: int) -> np.ndarray:
    sums = box_mean(np.dstack([weights * colours, weights]), radius)
    return sums[..., :-1] / (sums[..., -1:] + _TINY)
