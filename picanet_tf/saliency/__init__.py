"""Salient object detection with PiCANets (Sec. 4).

`build_model` is imported when it is first asked for, so that names and variants can be
read without TensorFlow.
"""

from picanet_tf.saliency.variants import DEFAULT_VARIANT, VARIANTS, parse_variant

__all__ = ["DEFAULT_VARIANT", "VARIANTS", "build_model", "parse_variant"]


def __getattr__(name):
    if name == "build_model":
        from picanet_tf.saliency.model import build_model

        return build_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
