"""Pretrained models by name: `list_presets`, `find_preset`.

A preset `NAME` consists of `NAME.json` and its model card `NAME.md` in this folder, and
two files, in this folder or downloaded on first use: `NAME.tflite` for prediction and
`NAME.npz` with the weights by variable path. `add` creates all of them.

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
