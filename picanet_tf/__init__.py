"""PiCANet: pixel-wise contextual attention for salient object detection.

    from picanet_tf import build_model, list_presets, load_model

    saliency = load_model().predict("photo.jpg")    # float32 [H, W] in [0, 1]
    network = build_model(weights="picanet_vgg16_duts")         # a Keras model
    list_presets()                                  # {name: preset}

What is exported is imported when it is first asked for: `load_model` of a preset
predicts without TensorFlow, `build_model` imports it.
"""

import importlib

__version__ = "0.1.0"
__all__ = ["build_model", "list_presets", "load_model"]

_PLACES = {
    "build_model": "picanet_tf.saliency",
    "list_presets": "picanet_tf.presets",
    "load_model": "picanet_tf.inference",
}


def __getattr__(name):
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return [*globals(), *__all__]
