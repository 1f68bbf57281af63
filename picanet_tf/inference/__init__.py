"""Inference: load a trained model, predict at the photo's original size.

`load_model` accepts a preset name, a run directory, a `.keras` or a `.tflite` file. The
`litert` engine imports neither TensorFlow nor Keras; everything that needs them is
imported lazily.
"""

import importlib

from picanet_tf.core.keras_config import check_keras
from picanet_tf.inference.loading import ENGINES, load_model
from picanet_tf.inference.locate import Located, locate

__all__ = [
    "ENGINES",
    "AttentionMaps",
    "AttentionModel",
    "KerasModel",
    "LiteRTModel",
    "Located",
    "load_model",
    "locate",
]

_LATE = {
    "AttentionModel": "attention",
    "LiteRTModel": "litert",
    "AttentionMaps": "attention",
    "KerasModel": "keras_engine",
}


def __getattr__(name):
    if name in _LATE:
        if name != "LiteRTModel":
            check_keras()
        module = importlib.import_module(f"picanet_tf.inference.{_LATE[name]}")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
