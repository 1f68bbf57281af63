"""The classes of an object: VOC's, 1..20; 0 is the background, and padding.

Imports no TensorFlow.
"""

from __future__ import annotations

from picanet_tf.voc_classes import BACKGROUND, CLASSES, VOC_CLASSES, palette

__all__ = ["BACKGROUND", "CLASSES", "OBJECT_CLASSES", "VOC_CLASSES", "colour_of"]

# Names without the background: label k is `OBJECT_CLASSES[k - 1]`.
OBJECT_CLASSES = VOC_CLASSES[1:]


def colour_of(label: int) -> tuple[int, int, int]:
    """VOC's colour of a class, RGB 0..255."""
    return tuple(palette()[label].tolist())
