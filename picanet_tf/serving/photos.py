"""Photos to calibrate an export with, and to compare it on.

Imports no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CALIBRATION_IMAGES = 64
COMPARED_IMAGES = 8
_BRIGHTER, _DARKER = 1.6, 0.4


def split(
    images: Sequence[np.ndarray],
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Splits photos into those that calibrate and those to compare on.

    Args:
        images: photos, uint8 [H, W, 3], RGB.

    Returns:
        (calibration, compared) without a photo in common. Of fewer than
        `2 * COMPARED_IMAGES` photos, all calibrate, and `compared` is empty.
    """
    if len(images) < 2 * COMPARED_IMAGES:
        return list(images), []
    step = len(images) // COMPARED_IMAGES
    compared = range(0, step * COMPARED_IMAGES, step)
    calibration = [image for n, image in enumerate(images) if n not in compared]
    return calibration, [images[n] for n in compared]


def vary_brightness(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns each photo, uint8 [H, W, 3], with a brighter and a darker copy."""
    return [
        np.uint8(np.clip(np.round(image * np.float32(factor)), 0, 255))
        for image in images
        for factor in (1, _BRIGHTER, _DARKER)
    ]
