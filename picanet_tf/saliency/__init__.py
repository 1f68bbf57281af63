"""Salient object detection with PiCANets (Sec. 4).

TensorFlow is imported only when a network is built.
"""

from picanet_tf.saliency.variants import DEFAULT_VARIANT, VARIANTS, parse_variant
from picanet_tf.tasks.registry import get_task

__all__ = ["DEFAULT_VARIANT", "VARIANTS", "build_model", "parse_variant"]


def build_model(*arguments, **options):
    """Builds a saliency network; takes the arguments of `Task.build_model`."""
    return get_task("saliency").build_model(*arguments, **options)
