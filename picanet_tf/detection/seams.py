"""What shared code is handed of this task: prediction, serving, where it attends."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from picanet_tf.detection import comparison, decode, prediction
from picanet_tf.detection.classes import CLASSES
from picanet_tf.detection.model import SEEN
from picanet_tf.detection.postprocess import detections
from picanet_tf.detection.rendering import FORMATS, coco_files, render, voc_files
from picanet_tf.detection.variants import parse_variant
from picanet_tf.seams import AttachPoint, Prediction, Served

_LABELS = {4: "conv4_3", 7: "fc7", 8: "conv8", 9: "conv9", 10: "conv10"}


def attach_points(variant: str) -> dict[int, AttachPoint]:
    """{attach point: where its context module is}, coarse to fine."""
    plan = parse_variant(variant)
    return {
        key: AttachPoint(
            key,
            _LABELS[key],
            plan[key],
            SEEN[key],
            f"context{key}_{plan[key].lower()}",
        )
        for key in sorted(plan, reverse=True)
    }


def _prepare(image, side):
    return tf.image.resize(image, [side, side], "bilinear")


PREDICTION = Prediction(
    finest=prediction.raw,
    output_shape=("N", "A", 4 + CLASSES),
    test_size=lambda variant, image_size: image_size,
    frame=lambda image, side: image,
    prepare=_prepare,
    resize=lambda image, side: _prepare(image, side).numpy(),
    activate=prediction.packed,
    finish=lambda rows, size, side: prediction.finish(rows, size),
    foreground=prediction.objectness,
    foreground_title="any object",
    telling=prediction.telling,
    middles=prediction.middles,
    formats=FORMATS,
    render=render,
    collected={"json": coco_files, "voc": voc_files},
)


@keras.saving.register_keras_serializable(package="picanet_tf")
class DetectionHead(keras.layers.Layer):
    """`postprocess.detections` of what `prediction.raw` gives, as a layer."""

    def __init__(self, image_size: int, **kwargs):
        super().__init__(**kwargs)
        self.image_size = image_size

    def call(self, heads):
        return detections(heads[..., :4], heads[..., 4:], self.image_size)

    def get_config(self):
        return {**super().get_config(), "image_size": self.image_size}


def _heads(heads, side):
    found = DetectionHead(side, name="detections", dtype="float32")(heads)
    return {"raw": keras.layers.Identity(name="raw")(heads), **found}


_FOUND = ("boxes", "scores", "classes", "count")
SERVED = Served(
    output="raw",
    heads=_heads,
    signatures={"serving_default": _FOUND, "detections": _FOUND, "raw": ("raw",)},
    encoded="",
    encoded_from=_FOUND,
    draw=None,
    drawn_difference=None,
    resize="to {side} x {side}, aspect not kept, bilinear with half-pixel centres and "
    "no antialiasing (tf.image.resize)",
    content="of each default box 4 offsets and 21 logits; decode.py beside this file "
    "makes boxes of them",
    difference=comparison.difference,
    beside={"decode.py": Path(decode.__file__)},
)
