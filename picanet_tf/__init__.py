"""PiCANet: pixel-wise contextual attention for salient object detection.

    import picanet_tf

    saliency = picanet_tf.load_model().predict("photo.jpg")   # float32 [H, W], 0..1
    network = picanet_tf.build_model(weights="picanet_vgg16_duts")     # a Keras model
    picanet_tf.list_presets()                                 # {name: preset}

    picanet_tf.predict("photos/", output="out/")              # as the commands do
    run = picanet_tf.train(tfrecords="data/duts", steps=200)
    report = picanet_tf.evaluate(tfrecords="data/ecssd", models=run)

What is exported is imported when it is first asked for: `load_model` of a preset
predicts without TensorFlow, `build_model` imports it.
"""

import importlib

__version__ = "0.1.0"

_MODULES = {
    "build_model": "picanet_tf.saliency",
    "evaluate": "picanet_tf.evaluation.run",
    "list_presets": "picanet_tf.presets",
    "load_model": "picanet_tf.inference",
    "predict": "picanet_tf.inference.files",
    "train": "picanet_tf.training.run",
}
__all__ = list(_MODULES)


def __getattr__(name):
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return [*globals(), *__all__]
