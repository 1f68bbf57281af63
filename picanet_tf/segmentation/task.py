"""The segmentation task: networks, training, prediction and export."""

from __future__ import annotations

import keras
import numpy as np

from picanet_tf.core.voc import CLASSES, IGNORE, VOC_CLASSES
from picanet_tf.models.context_modules import AttachPoint
from picanet_tf.models.decoder import attach_points_of_unet
from picanet_tf.segmentation import losses, prediction, targets
from picanet_tf.segmentation.model import segmentation_outputs
from picanet_tf.segmentation.spec import SegmentationSpec
from picanet_tf.segmentation.validation import SegmentationValidation, panel
from picanet_tf.segmentation.variants import BRANCHES, is_deeplab
from picanet_tf.tasks.base import Task
from picanet_tf.tasks.serving_spec import ServingSpec

# DeepLab is trained on crops of 321 pixels and tested on whole images at 513.
_TRAINED, _TESTED = 321, 513


class SegmentationServing(ServingSpec):
    """Exports return logits and classes at the input's size, and PNGs of classes."""

    output = "logits"
    signatures = {
        "serving_default": ("classes",),
        "classes": ("classes",),
        "logits": ("logits",),
    }
    image_bytes_outputs = ("classes",)
    png_output = "classes_png_bytes"
    labels = VOC_CLASSES
    resize_description = (
        "in the top left corner of a square of at least {side} x {side}, padded with "
        "RGB 123.68, 116.779, 103.939; a larger square is resized to {side} x {side}, "
        "bilinear with half-pixel centres and no antialiasing (tf.image.resize)"
    )
    output_description = (
        "logits of 21 classes over that square; resize them to it bilinearly, crop "
        "the photo's part, and take the class with the largest logit"
    )

    def heads(self, logits, side):
        stride = targets.stride_of(side, logits.shape[1])
        beyond = logits.shape[1] * stride - side
        if stride > 1:
            logits = keras.layers.UpSampling2D(
                stride, interpolation="bilinear", name="upsample"
            )(logits)
        # Applied even if nothing is cropped, since it names the output.
        logits = keras.layers.Cropping2D(
            ((0, beyond), (0, beyond)), name="logits_full"
        )(logits)
        # int32 is supported by REST and every client.
        classes = keras.ops.argmax(logits, axis=-1)
        return {"logits": logits, "classes": keras.ops.cast(classes, "int32")}

    def draw(self, heads, size, side):
        logits = prediction.crop_to_image(heads["logits"], size, side)
        return prediction.classes_of(logits)[..., None]

    def drawn_difference(self, pixels, heads, size, side) -> float:
        """Returns the share of pixels with a different class."""
        return float(np.mean(pixels != self.draw(heads, size, side).numpy()))


class SegmentationTask(Task):
    """Semantic segmentation (Sec. 5.6). See `segmentation_outputs`."""

    spec = SegmentationSpec()
    serving = SegmentationServing()
    network_name = "picanet_segmentation_"
    output_shape = ("N", "h", "w", CLASSES)
    no_object_advice = (
        "Check the class maps: they hold only background (0) and void (255); objects "
        f"need the classes 1..{CLASSES - 1}"
    )

    def build_outputs(self, image, config):
        return segmentation_outputs(image, config)

    def attach_points(self, variant: str) -> dict[int, AttachPoint]:
        plan = self.spec.parse_variant(variant)
        if not is_deeplab(variant):
            return attach_points_of_unet(plan)
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

    def encode_targets(self, truth, outputs, image_size):
        return targets.encode_targets(truth, outputs)

    def has_object(self, targets):
        return keras.ops.any(
            [keras.ops.any((x > 0) & (x != IGNORE)) for x in targets.values()]
        )

    def losses(self, outputs):
        return losses.losses(outputs)

    def loss_weights(self, outputs, attention_weight=0.0):
        return losses.loss_weights(outputs)

    def validation(self, image_size):
        return SegmentationValidation()

    def panel(self, image, truth, outputs):
        return panel(image, truth, outputs)

    def logits(self, outputs):
        return prediction.logits(outputs)

    def test_image_size(self, variant: str, image_size: int) -> int:
        if is_deeplab(variant):
            return round((image_size - 1) * (_TESTED - 1) / (_TRAINED - 1)) + 1
        return image_size

    def resize(self, image, side):
        return prediction.resize(image, side)

    def activate(self, logits, side):
        return prediction.upsample(logits, side)

    def foreground(self, logits, side):
        return prediction.foreground(prediction.upsample(logits, side))
