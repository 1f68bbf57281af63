"""PASCAL VOC's classes and colours. Imports no TensorFlow.

Shared by the data pipeline, segmentation and detection.
"""

from __future__ import annotations

import numpy as np

VOC_CLASSES = tuple(
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable "
    "dog horse motorbike person pottedplant sheep sofa train tvmonitor".split()
)
CLASSES = len(VOC_CLASSES)
OBJECT_CLASSES = VOC_CLASSES[1:]
BACKGROUND = 0
# Pixels without a class: object borders and "void" regions. Ignored by losses and
# scores.
IGNORE = 255


def palette() -> np.ndarray:
    """Returns VOC's colour map, uint8 [256, 3], indexed by class.

    The bits of a class number are assigned to red, green and blue in turn; the lowest
    bits become the highest bits of the colours.
    """
    values = np.arange(256)
    colours = np.zeros((256, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (values >> channel & 1) << (7 - bit)
        values >>= 3
    return colours.astype(np.uint8)


def colours_of(classes: np.ndarray) -> np.ndarray:
    """Colours a class map, uint8 [H, W], with VOC's colours: uint8 [H, W, 3]."""
    return palette()[classes]


def colour_of(label: int) -> tuple[int, int, int]:
    """Returns VOC's colour of a class as an (R, G, B) tuple."""
    return tuple(int(value) for value in palette()[label])
