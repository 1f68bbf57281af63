"""PiCANet: pixel-wise contextual attention for salient object detection.

    from picanet_tf import load_model
    model = load_model("runs/latest")
    saliency = model.predict("photo.jpg")   # float32 [H, W] in [0, 1]

`load_model` is imported when it is first asked for, so that the parts which need no
TensorFlow start without it.
"""

__all__ = ["load_model"]


def __getattr__(name):
    if name == "load_model":
        from picanet_tf.inference import load_model

        return load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
