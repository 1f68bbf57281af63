"""How each task is trained unless told otherwise. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from picanet_tf.detection import variants as detection
from picanet_tf.errors import PicanetError
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
        falls: parts of the steps after which the rates fall to a tenth.
        source: where the defaults are from, for --help.
    """

    variants: tuple[str, ...]
    parse_variant: Callable[[str], dict]
    defaults: Callable[[str | None], Mapping]
    check_image_size: Callable[[str, int], None]
    memory: Callable[[str], tuple[float, float]]
    falls: tuple[Fraction, ...] = (Fraction(1, 2), Fraction(3, 4))
    source: str = "Sec. 5.3"

    def check_image_size_flag(self, variant: str, image_size: int) -> None:
        """Raises `PicanetError`, in the flag's words, for what cannot be built."""
        try:
            self.check_image_size(variant, image_size)
        except ValueError as error:
            message = str(error).replace("`image_size`", "--image_size")
            raise PicanetError(message.replace("image_size=", "")) from error


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
        source="DeepLab's protocol",
    ),
    "detection": Recipe(
        variants=detection.VARIANTS,
        parse_variant=detection.parse_variant,
        defaults=detection.defaults,
        check_image_size=detection.check_image_size,
        memory=detection.memory,
        falls=detection.FALLS,
        source="SSD's release, ssd_pascal.py",
    ),
}
