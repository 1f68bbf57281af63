"""How each task is trained unless told otherwise. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from picanet_tf.saliency import variants as saliency
from picanet_tf.segmentation import variants as segmentation


@dataclass(frozen=True)
class Recipe:
    """What may be asked of a task before TensorFlow is imported.

    Attributes:
        variants: the names that the paper reports.
        parse_variant: name -> {attach point: kind}; `ValueError` of a wrong one.
        defaults: variant, or None for the default one -> settings of an `Experiment`
            that differ from its own defaults, which are saliency's.
        check_image_size: (variant, side); `ValueError` where it cannot be built.
        memory: variant -> (weights, bytes that an image of 224 x 224 pixels takes in a
            training step on a CPU), at full width.
    """

    variants: tuple[str, ...]
    parse_variant: Callable[[str], dict]
    defaults: Callable[[str | None], Mapping]
    check_image_size: Callable[[str, int], None]
    memory: Callable[[str], tuple[float, float]]


RECIPES = {
    "saliency": Recipe(
        variants=saliency.VARIANTS,
        parse_variant=saliency.parse_variant,
        defaults=saliency.defaults,
        check_image_size=saliency.check_image_size,
        memory=saliency.memory,
    ),
    "segmentation": Recipe(
        variants=segmentation.VARIANTS,
        parse_variant=segmentation.parse_variant,
        defaults=segmentation.defaults,
        check_image_size=segmentation.check_image_size,
        memory=segmentation.memory,
    ),
}
