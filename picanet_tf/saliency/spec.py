"""The TensorFlow-free half of salient object detection."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from PIL import Image

from picanet_tf.core.resizing import resize
from picanet_tf.drawing.cutouts import DEFAULT_CUTOUT, CutoutOptions
from picanet_tf.saliency import rendering
from picanet_tf.saliency.variants import (
    DEFAULT_VARIANT,
    IMAGE_SIZE,
    VARIANTS,
    check_image_size,
    parse_variant,
)
from picanet_tf.tasks.spec import TaskSpec


class SaliencySpec(TaskSpec):
    """Salient object detection, the paper's main task (Sec. 4).

    A result is a saliency map, float32 [H, W] in [0, 1].
    """

    name = "saliency"
    task_class = "picanet_tf.saliency.task:SaliencyTask"
    scoring_class = "picanet_tf.saliency.scoring:SaliencyScoring"
    record_kind = "mask"
    variants = VARIANTS
    default_variant = DEFAULT_VARIANT
    parse_variant = staticmethod(parse_variant)
    check_image_size = staticmethod(check_image_size)
    formats = rendering.FORMATS
    recipes: ClassVar = {
        "paper": {},
        "quick": {
            "steps": 1000,
            "batch_size": 8,
            "optimizer": "adamw",
            "encoder_lr_multiplier": 0.2,
            "rate_schedule": "linear",
            "warmup_steps": 50,
            "clip_norm": 5.0,
            "dropout": 0.3,
            "precision": "auto",
            "image_sizes": f"160:0.8,{IMAGE_SIZE}:0.2",
        },
    }

    def has_attention_loss(self, variant: str) -> bool:
        return parse_variant(variant).get(6) == "GAP"

    def default_image_size(self, variant: str) -> int:
        return IMAGE_SIZE

    def memory(self, variant: str) -> tuple[float, float]:
        return (57.5e6, 0.63e9) if self.parse_variant(variant) else (22.7e6, 0.31e9)

    def postprocess(
        self, values: np.ndarray, size: tuple[int, int], side: int
    ) -> np.ndarray:
        return resize(np.asarray(values)[..., 0], size)

    def render(
        self,
        form: str,
        image: np.ndarray,
        result: np.ndarray,
        threshold: float,
        cutout: CutoutOptions = DEFAULT_CUTOUT,
    ) -> Image.Image:
        picture = rendering.render(form, image, result, threshold, cutout)
        return Image.fromarray(picture)
