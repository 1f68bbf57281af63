"""What shared code is handed of this task: prediction, serving, where it attends."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from picanet_tf.pixels import telling_pixels
from picanet_tf.saliency import prediction
from picanet_tf.saliency.variants import parse_variant
from picanet_tf.seams import AttachPoint, Prediction, Served


def attach_points(variant: str) -> dict[int, AttachPoint]:
    """{decoding stage: where its context module is}, coarse to fine."""
    return {
        stage: AttachPoint(
            stage,
            f"D{stage}",
            kind,
            f"d{stage}_{'encoder_relu' if stage == 6 else 'fuse_relu'}",
            f"d{stage}_{kind.lower()}",
        )
        for stage, kind in parse_variant(variant).items()
    }


def _prepare(image, side):
    return tf.image.resize(image, [side, side], method="bilinear")


def _own_size(saliency, size):
    return tf.image.resize(saliency, size, method="bilinear")


def _draw(heads, size, side):
    grey = tf.round(_own_size(heads["saliency"], size) * 255)
    return tf.cast(grey, tf.uint8)


def _drawn_difference(pixels, heads, size, side) -> float:
    # Rounded to 256 greys it may be half of one off.
    off = np.abs(pixels / 255 - _own_size(heads["saliency"], size)).max()
    return float(off - 0.5 / 255)


PREDICTION = Prediction(
    **vars(prediction.SPEC),
    finest=lambda outputs: outputs["stage1"],
    output_shape=("N", "h", "w", 1),
    test_size=lambda variant, image_size: image_size,
    prepare=_prepare,
    activate=lambda logits, side: tf.sigmoid(logits),
    foreground=lambda logits, side: tf.sigmoid(logits),
    foreground_title="saliency",
    telling=lambda saliency, result: telling_pixels(saliency),
)


def _heads(logits, side):
    return {"saliency": keras.layers.Activation("sigmoid", name="saliency")(logits)}


SERVED = Served(
    output="saliency",
    heads=_heads,
    signatures={"serving_default": ("saliency",)},
    encoded="saliency_png_bytes",
    encoded_from=("saliency",),
    draw=_draw,
    drawn_difference=_drawn_difference,
    resize="to {side} x {side}, aspect not kept, bilinear with half-pixel centres and "
    "no antialiasing (tf.image.resize)",
    content="saliency 0..1; resize it to the photo's own size, bilinearly",
)
