"""Semantic segmentation with PiCANets (Sec. 5.6).

Imports no TensorFlow before it builds a network.
"""

from picanet_tf.segmentation.variants import DEFAULT_VARIANT, VARIANTS, parse_variant
from picanet_tf.tasks.registry import get_task

__all__ = ["DEFAULT_VARIANT", "VARIANTS", "build_model", "parse_variant"]


def build_model(*arguments, **options):
    """Builds a network: `tasks.base.Task.build_model` of `task.SegmentationTask`."""
    return get_task("segmentation").build_model(*arguments, **options)
