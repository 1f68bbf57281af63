"""Trained weights that ship, each by one name: `list_presets`, `find_preset`.

A preset `NAME` is `NAME.json` in this folder, with `NAME.md`, the same for people to
read, and two files, in this folder or downloaded when first wanted: `NAME.tflite`
predicts, `NAME.npz` holds the weights by variable path. `add` makes all of them.

Imports no TensorFlow.
"""

from picanet_tf.presets.registry import (
    Preset,
    default_preset,
    find_preset,
    list_presets,
    preset_for,
)

__all__ = ["Preset", "default_preset", "find_preset", "list_presets", "preset_for"]
