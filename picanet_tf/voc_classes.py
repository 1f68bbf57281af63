"""The classes of PASCAL VOC and their colours. Imports no TensorFlow.

Segmentation and detection have them in common.
"""

from __future__ import annotations

import numpy as np

VOC_CLASSES = tuple(
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable "
    "dog horse motorbike person pottedplant sheep sofa train tvmonitor".split()
)
CLASSES = len(VOC_CLASSES)
BACKGROUND = 0


def palette() -> np.ndarray:
    """VOC's colour of each value of a class map: uint8 [256, 3].

    The bits of a class are dealt out to red, green and blue, the highest first.
    """
    values = np.arange(256)
    colours = np.zeros((256, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (values >> channel & 1) << (7 - bit)
        values >>= 3
    return colours.astype(np.uint8)


def colours_of(classes: np.ndarray) -> np.ndarray:
    """A class map, uint8 [H, W], in VOC's colours: uint8 [H, W, 3]."""
    return palette()[classes]
