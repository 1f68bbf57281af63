"""The classes of a pixel: those of VOC, and none. Imports no TensorFlow."""

from __future__ import annotations

from picanet_tf.voc_classes import (
    BACKGROUND,
    CLASSES,
    VOC_CLASSES,
    colours_of,
    palette,
)

__all__ = ["BACKGROUND", "CLASSES", "IGNORE", "VOC_CLASSES", "colours_of", "palette"]

# Of a pixel that has no class: it counts neither in the loss nor in a score.
IGNORE = 255
