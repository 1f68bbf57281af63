"""What shared code is handed of this task: prediction, serving, where it attends."""

from __future__ import annotations

import keras
import numpy as np

from picanet_tf.pixels import telling_pixels
from picanet_tf.seams import AttachPoint, Prediction, Served
from picanet_tf.segmentation import prediction
from picanet_tf.segmentation.classes import CLASSES
from picanet_tf.segmentation.rendering import FORMATS, framed, render
from picanet_tf.segmentation.targets import stride_of
from picanet_tf.segmentation.variants import BRANCHES, is_deeplab, parse_variant


def attach_points(variant: str) -> dict[int, AttachPoint]:
    """{attach point: where its context module is}, as in the variant's plan."""
    plan = parse_variant(variant)
    if is_deeplab(variant):
        return {
            rate: AttachPoint(
                rate,
                f"ASPP {rate}",
                kind,
                "block5_pool",
                f"aspp{rate}_{kind.lower()}",
                BRANCHES[rate],
            )
            for rate, kind in plan.items()
        }
    return {
        stage: AttachPoint(
            stage,
            f"D{stage}",
            kind,
            f"d{stage}_{'encoder_relu' if stage == 6 else 'fuse_relu'}",
            f"d{stage}_{kind.lower()}",
        )
        for stage, kind in plan.items()
    }


PREDICTION = Prediction(
    finest=lambda outputs: outputs[prediction.finest(outputs)],
    output_shape=("N", "h", "w", CLASSES),
    test_size=prediction.test_size,
    frame=framed,
    prepare=prediction.prepare,
    resize=lambda image, side: prediction.prepare(image, side).numpy(),
    activate=prediction.full_logits,
    finish=lambda logits, size, side: prediction.classes_of(
        prediction.own_size(logits, size, side)
    ).numpy(),
    foreground=lambda scores, side: prediction.foreground(
        prediction.full_logits(scores, side)
    ),
    foreground_title="foreground",
    telling=lambda foreground, result: telling_pixels(foreground),
    formats=FORMATS,
    render=render,
)


def _heads(scores, side):
    stride = stride_of(side, scores.shape[1])
    logits = scores
    if stride > 1:
        logits = keras.layers.UpSampling2D(
            stride, interpolation="bilinear", name="upsample"
        )(logits)
    beyond = scores.shape[1] * stride - side
    # Also where nothing is cut: it names the output.
    logits = keras.layers.Cropping2D(((0, beyond), (0, beyond)), name="logits_full")(
        logits
    )
    # int32: what REST and every client have.
    classes = keras.ops.argmax(logits, axis=-1)
    return {"logits": logits, "classes": keras.ops.cast(classes, "int32")}


def _draw(heads, size, side):
    logits = prediction.own_size(heads["logits"], size, side)
    return prediction.classes_of(logits)[..., None]


def _drawn_difference(pixels, heads, size, side) -> float:
    """Share of the pixels that have another class."""
    return float(np.mean(pixels != _draw(heads, size, side).numpy()))


SERVED = Served(
    output="logits",
    heads=_heads,
    signatures={
        "serving_default": ("classes",),
        "classes": ("classes",),
        "logits": ("logits",),
    },
    encoded="classes_png_bytes",
    encoded_from=("classes",),
    draw=_draw,
    drawn_difference=_drawn_difference,
    resize="in the upper left of a square of at least {side} x {side}, filled up with "
    "RGB 123.68, 116.779, 103.939; a larger square is resized to {side} x {side}, "
    "bilinear with half-pixel centres and no antialiasing (tf.image.resize)",
    content="logits of 21 classes over that square; resize them to it bilinearly, cut "
    "the photo out, the largest logit is the class",
)
