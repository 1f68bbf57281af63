"""A trained model as one object: photo in, result at the photo's own size out.

`load_model` takes a preset's name, a run, a `.keras` or a `.tflite` file. Of the
engines, `litert` imports neither TensorFlow nor Keras; what needs them is imported
when it is first asked for.
"""

import importlib

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
        module = importlib.import_module(f"picanet_tf.inference.{_LATE[name]}")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
