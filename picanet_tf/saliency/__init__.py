"""Salient object detection with PiCANets (Sec. 4).

Imports no TensorFlow before it builds a network.
"""

from picanet_tf.saliency.variants import DEFAULT_VARIANT, VARIANTS, parse_variant
from picanet_tf.tasks.registry import get_task

__all__ = ["DEFAULT_VARIANT", "VARIANTS", "build_model", "parse_variant"]


def build_model(*arguments, **options):
    """Builds a network: `tasks.base.Task.build_model` of `task.SaliencyTask`."""
    return get_task("saliency").build_model(*arguments, **options)
