"""What can be known of semantic segmentation without TensorFlow.

A photo is put into the upper left of a square, at its own size and aspect, and the
square resized to the network's input; see `data_pipeline.augment.fit_class_map`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image

from picanet_tf.core.constants import MEAN_RGB
from picanet_tf.core.resizing import resize
from picanet_tf.segmentation import rendering
from picanet_tf.segmentation.variants import (
    DEFAULT_VARIANT,
    VARIANTS,
    check_image_size,
    default_image_size,
    parse_variant,
)
from picanet_tf.tasks.spec import TaskSpec

# {variant: (weights, bytes an image)}. Measured, a training step of one image on one
# thread, at its highest: DeepLab_LAP 2.65 GB, DeepLab_AC 3.94 GB (321 pixels),
# 6GAP_543LAP 2.52 GB (384). The others' images are taken to need as much.
_MEMORY = {
    "DeepLab": (37.9e6, 0.33e9),
    "DeepLab_LC": (91.4e6, 0.33e9),
    "DeepLab_AC": (104.2e6, 0.3e9),
    "DeepLab_LAP": (52.8e6, 0.33e9),
    "UNet": (22.7e6, 0.31e9),
    "6GAP_543LAP": (35.9e6, 0.34e9),
}
_UNET_WITH_CONTEXT = (56.0e6, 0.34e9)


class SegmentationSpec(TaskSpec):
    """Semantic segmentation of VOC's classes (Sec. 5.6, Table 3).

    A result is uint8 [H, W], the class of each pixel.
    """

    name = "segmentation"
    task_class = "picanet_tf.segmentation.task:SegmentationTask"
    scoring_class = "picanet_tf.segmentation.scoring:SegmentationScoring"
    record_kind = "class_map"
    variants = VARIANTS
    default_variant = DEFAULT_VARIANT
    parse_variant = staticmethod(parse_variant)
    check_image_size = staticmethod(check_image_size)
    default_image_size = staticmethod(default_image_size)
    recipe_source = "DeepLab's protocol"
    formats = rendering.FORMATS

    def training_defaults(self, variant: str | None = None) -> Mapping:
        """DeepLab's protocol, for the U-Nets as well."""
        return {
            **super().training_defaults(variant),
            "steps": 20_000,
            "batch_size": 10,
            "rate_schedule": "poly",
        }

    def memory(self, variant: str) -> tuple[float, float]:
        return _MEMORY.get(variant, _UNET_WITH_CONTEXT)

    def frame(self, image: np.ndarray, side: int) -> np.ndarray:
        """The square, in a grey of VGG's means."""
        return _square(image, side, np.round(MEAN_RGB).astype(np.uint8))

    def resize(self, image: np.ndarray, side: int) -> np.ndarray:
        # What surrounds the photo is zero to the network, which subtracts the means.
        return resize(_square(image, side, np.float32(MEAN_RGB)), (side, side))

    def postprocess(
        self, values: np.ndarray, size: tuple[int, int], side: int
    ) -> np.ndarray:
        """The class of each pixel, of logits [side, side, classes] over the square."""
        values = np.asarray(values)
        height, width = size
        square = max(side, height, width)
        best = np.full(size, -np.inf, np.float32)
        classes = np.zeros(size, np.uint8)
        # Class by class: all of them at a photo's size would take gigabytes.
        for number in range(values.shape[-1]):
            logits = resize(values[..., number], (square, square))[:height, :width]
            higher = logits > best
            classes[higher] = number
            np.maximum(best, logits, out=best)
        return classes

    def render(
        self, form: str, image: np.ndarray, result: np.ndarray, threshold: float
    ) -> Image.Image:
        return rendering.render(form, image, result)


def _square(image: np.ndarray, side: int, color: np.ndarray) -> np.ndarray:
    """[H, W, 3] -> a square of `side` or, if it is larger, of the image's own."""
    height, width = image.shape[:2]
    square = np.empty([max(side, height, width)] * 2 + [3], color.dtype)
    square[:] = color
    square[:height, :width] = image
    return square
