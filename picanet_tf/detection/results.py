"""Detections of one image, outside of any graph. Imports no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Detections:
    """What was found in an image, the surest first.

    Attributes:
        boxes: float32 [n, 4]: ymin, xmin, ymax, xmax in pixels from edge to edge, 0..H
            and 0..W.
        scores: float32 [n], 0..1.
        classes: integers [n], 1..20.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
