"""The detection task: networks, training, prediction and export."""

from __future__ import annotations

import itertools
from pathlib import Path

import keras
import numpy as np

from picanet_tf.core.voc import CLASSES, VOC_CLASSES
from picanet_tf.detection import comparison, decode, losses, prediction, targets
from picanet_tf.detection.model import CONTEXT_INPUTS, STRIDED, detection_outputs
from picanet_tf.detection.postprocess import detections
from picanet_tf.detection.results import Detections
from picanet_tf.detection.spec import DetectionSpec
from picanet_tf.detection.validation import DetectionValidation, panel
from picanet_tf.drawing.pixels import Pixel, default_query_pixels
from picanet_tf.models.context_modules import CONVOLVING, AttachPoint
from picanet_tf.tasks.base import Task
from picanet_tf.tasks.serving_spec import ServingSpec

_LABELS = {4: "conv4_3", 7: "fc7", 8: "conv8", 9: "conv9", 10: "conv10"}
_QUERIED = 3  # number of boxes whose centres are the default query pixels
_MIN_SCORE = 0.3  # minimum score of these boxes, if any box reaches it
_FOUND = ("boxes", "scores", "classes", "count")


@keras.saving.register_keras_serializable(package="picanet_tf")
class DetectionHead(keras.layers.Layer):
    """`postprocess.detections` as a layer on concatenated offsets and scores."""

    def __init__(self, image_size: int, **kwargs):
        super().__init__(**kwargs)
        self.image_size = image_size

    def call(self, heads):
        return detections(heads[..., :4], heads[..., 4:], self.image_size)

    def get_config(self):
        return {**super().get_config(), "image_size": self.image_size}


class DetectionServing(ServingSpec):
    """Exports return boxes, and the raw offsets and logits."""

    output = "raw"
    signatures = {"serving_default": _FOUND, "detections": _FOUND, "raw": ("raw",)}
    image_bytes_outputs = _FOUND
    output_description = (
        "4 offsets and 21 logits per default box; decode.py next to this file "
        "converts them to boxes"
    )
    labels = VOC_CLASSES
    companion_files = {"decode.py": Path(decode.__file__)}

    def heads(self, logits, side):
        found = DetectionHead(side, name="detections", dtype="float32")(logits)
        return {"raw": keras.layers.Identity(name="raw")(logits), **found}

    def difference(self, values, wanted) -> float:
        return comparison.difference(values, wanted)


class DetectionTask(Task):
    """Object detection with SSD300 and PiCANets (Sec. 5.6). See `detection_outputs`."""

    spec = DetectionSpec()
    serving = DetectionServing()
    network_name = "picanet_detection_"
    output_shape = ("N", "A", 4 + CLASSES)
    foreground_title = "any object"
    finds_objects = True
    no_object_advice = "Check the annotations: no image has a box"

    def build_outputs(self, image, config):
        return detection_outputs(image, config)

    def attach_points(self, variant: str) -> dict[int, AttachPoint]:
        plan = self.spec.parse_variant(variant)
        return {
            key: AttachPoint(
                key,
                _LABELS[key],
                plan[key],
                CONTEXT_INPUTS[key],
                f"context{key}_{plan[key].lower()}",
                # The window's distance of 2 is one of the strided map's cells.
                1 if key in STRIDED and plan[key] in CONVOLVING else 2,
            )
            for key in sorted(plan, reverse=True)
        }

    def encode_targets(self, truth, outputs, image_size):
        return targets.encode_targets(truth, outputs, image_size)

    def has_object(self, targets):
        return keras.ops.any(targets["scores"] > 0)

    def losses(self, outputs):
        return losses.losses(outputs)

    def loss_weights(self, outputs, attention_weight=0.0):
        return losses.loss_weights(outputs)

    def validation(self, image_size):
        return DetectionValidation(image_size)

    def panel(self, image, truth, outputs):
        return panel(image, truth, outputs)

    def logits(self, outputs):
        """Returns concatenated offsets and scores, [N, A, 25]."""
        return prediction.offsets_and_scores(outputs)

    def activate(self, logits, side):
        return prediction.pack_detections(logits, side)

    def foreground(self, logits, side):
        return prediction.objectness(logits, side)

    def default_query_pixels(
        self, foreground: np.ndarray, result: Detections
    ) -> dict[str, Pixel]:
        """Returns the centres of the top boxes; without any, as for a saliency map."""
        has_any = (result.scores >= _MIN_SCORE).any()
        found = result.above(_MIN_SCORE) if has_any else result
        centers = self.box_centers(found, foreground.shape)
        first = itertools.islice(centers.items(), _QUERIED)
        return dict(first) or default_query_pixels(foreground)

    def box_centers(
        self, result: Detections, size: tuple[int, int]
    ) -> dict[str, Pixel]:
        """Returns {"box <rank>: <class> <score>": its centre}."""
        height, width = size
        centers = {}
        for number, (top, left, bottom, right) in enumerate(result.boxes):
            x = min(width - 1, max(0, int((left + right) / 2)))
            y = min(height - 1, max(0, int((top + bottom) / 2)))
            centers[f"box {number + 1}: {result.name(number)}"] = Pixel(x, y)
        return centers
