"""The TensorFlow-free half of semantic segmentation.

A photo is placed unscaled in the top left corner of a square, which is resized to the
network's input; see `data_pipeline.augment.fit_class_map`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image

from picanet_tf.core.constants import MEAN_RGB
from picanet_tf.core.images import over_white
from picanet_tf.core.resizing import resize
from picanet_tf.drawing.cutouts import DEFAULT_CUTOUT, CutoutOptions
from picanet_tf.segmentation import rendering
from picanet_tf.segmentation.variants import (
    DEFAULT_VARIANT,
    VARIANTS,
    check_image_size,
    default_image_size,
    parse_variant,
)
from picanet_tf.tasks.spec import TaskSpec

# {variant: (number of weights, bytes per image)}. Measured peak of a training step with
# one image on one thread: DeepLab_LAP 2.65 GB, DeepLab_AC 3.94 GB (321 pixels),
# 6GAP_543LAP 2.52 GB (384 pixels). The other variants are assumed to need as much.
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
        """Returns DeepLab's training settings, also for the U-Nets."""
        return {
            **super().training_defaults(variant),
            "steps": 20_000,
            "batch_size": 10,
            "rate_schedule": "poly",
        }

    def memory(self, variant: str) -> tuple[float, float]:
        return _MEMORY.get(variant, _UNET_WITH_CONTEXT)

    def frame(self, image: np.ndarray, side: int) -> np.ndarray:
        """Returns the square, padded with VGG's channel means."""
        return _square(image, side, np.round(MEAN_RGB).astype(np.uint8))

    def resize(self, image: np.ndarray, side: int) -> np.ndarray:
        # Padding is 0 inside the network, which subtracts the means.
        return resize(_square(image, side, np.float32(MEAN_RGB)), (side, side))

    def postprocess(
        self, values: np.ndarray, size: tuple[int, int], side: int
    ) -> np.ndarray:
        """Converts logits [side, side, classes] over the square to a class map."""
        values = np.asarray(values)
        height, width = size
        square = max(side, height, width)
        best = np.full(size, -np.inf, np.float32)
        classes = np.zeros(size, np.uint8)
        # Class by class, because all logits at a photo's size would take gigabytes.
        for number in range(values.shape[-1]):
            logits = resize(values[..., number], (square, square))[:height, :width]
            higher = logits > best
            classes[higher] = number
            np.maximum(best, logits, out=best)
        return classes

    def render(
        self,
        form: str,
        image: np.ndarray,
        result: np.ndarray,
        threshold: float,
        cutout: CutoutOptions = DEFAULT_CUTOUT,
    ) -> Image.Image:
        return rendering.render(form, over_white(image), result)


def _square(image: np.ndarray, side: int, color: np.ndarray) -> np.ndarray:
    """Pads [H, W, 3] to a square with at least `side` pixels per side."""
    height, width = image.shape[:2]
    square = np.empty([max(side, height, width)] * 2 + [3], color.dtype)
    square[:] = color
    square[:height, :width] = image
    return square
