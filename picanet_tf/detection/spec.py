"""The TensorFlow-free half of object detection."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from PIL import Image

from picanet_tf.core.images import over_white
from picanet_tf.detection import rendering
from picanet_tf.detection.results import Detections
from picanet_tf.detection.variants import (
    DEFAULT_VARIANT,
    IMAGE_SIZE,
    PLAIN,
    VARIANTS,
    check_image_size,
    parse_variant,
)
from picanet_tf.drawing.cutouts import DEFAULT_CUTOUT, CutoutOptions
from picanet_tf.tasks.spec import TaskSpec

# {variant: (number of weights, bytes per image)}. Measured peak of a training step with
# one image on one thread: SSD300 1.45 GB, 478LAP_910GAP 2.15 GB; the other variants are
# assumed to need as much per image as the latter.
_MEMORY = {
    PLAIN: (26.3e6, 0.12e9),
    "478LC_910ReNet": (102.8e6, 0.2e9),
    "478AC_910GAP": (112.4e6, 0.2e9),
    "478LAP_910GAP": (46.2e6, 0.2e9),
}
_OTHER = _MEMORY["478AC_910GAP"]


class DetectionSpec(TaskSpec):
    """Object detection on VOC with SSD300 (Sec. 5.6, Table 4).

    A result is a `results.Detections` in pixels of the photo.
    """

    name = "detection"
    task_class = "picanet_tf.detection.task:DetectionTask"
    scoring_class = "picanet_tf.detection.scoring:DetectionScoring"
    record_kind = "boxes"
    variants = VARIANTS
    default_variant = DEFAULT_VARIANT
    parse_variant = staticmethod(parse_variant)
    check_image_size = staticmethod(check_image_size)
    dropout = 0.0
    recipe_source = "SSD's release, ssd_pascal.py"
    # SSD's rates fall after 80,000 and 100,000 of its 120,000 steps.
    rate_drops = (Fraction(2, 3), Fraction(5, 6))
    formats = rendering.FORMATS
    collected_formats = rendering.COLLECTED_FORMATS

    def default_image_size(self, variant: str) -> int:
        return IMAGE_SIZE

    def training_defaults(self, variant: str | None = None) -> Mapping:
        """Returns SSD300's settings (VOC07+12): one rate for all layers, no dropout."""
        return {
            **super().training_defaults(variant),
            "steps": 120_000,
            "batch_size": 32,
            "learning_rate": 0.001,
            "encoder_lr_multiplier": 1.0,
        }

    def memory(self, variant: str) -> tuple[float, float]:
        return _MEMORY.get(variant, _OTHER)

    def postprocess(
        self, values: np.ndarray, size: tuple[int, int], side: int
    ) -> Detections:
        """Converts rows [200, 6] of `prediction.pack_detections` to detections."""
        rows = np.asarray(values)
        rows = rows[rows[:, 5] > 0]
        height, width = int(size[0]), int(size[1])
        edges = np.array([height, width, height, width], np.float32)
        return Detections(rows[:, :4] * edges, rows[:, 4], rows[:, 5].astype(np.int64))

    def render(
        self,
        form: str,
        image: np.ndarray,
        result: Detections,
        threshold: float,
        cutout: CutoutOptions = DEFAULT_CUTOUT,
    ) -> Image.Image:
        return rendering.render(form, over_white(image), result, threshold)

    def collect(self, form: str, results: Mapping[str, Detections]) -> dict[str, str]:
        return rendering.collect(form, results)
