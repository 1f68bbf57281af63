"""Object detection with SSD300 and PiCANets (Sec. 5.6).

TensorFlow is imported only when a network is built.
"""

from picanet_tf.detection.variants import DEFAULT_VARIANT, VARIANTS, parse_variant
from picanet_tf.tasks.registry import get_task

__all__ = ["DEFAULT_VARIANT", "VARIANTS", "build_model", "parse_variant"]


def build_model(*arguments, **options):
    """Builds a detection network; takes the arguments of `Task.build_model`."""
    return get_task("detection").build_model(*arguments, **options)
