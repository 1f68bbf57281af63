"""The saliency task: networks, training, prediction and export."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from picanet_tf.models.context_modules import AttachPoint
from picanet_tf.models.decoder import attach_points_of_unet
from picanet_tf.saliency import attention_shares, losses, targets
from picanet_tf.saliency.losses import ATTENTION_WEIGHT
from picanet_tf.saliency.model import saliency_outputs
from picanet_tf.saliency.spec import SaliencySpec
from picanet_tf.saliency.validation import SaliencyValidation, panel
from picanet_tf.tasks.base import Task
from picanet_tf.tasks.serving_spec import ServingSpec


class SaliencyServing(ServingSpec):
    """Exports return the map at the input's size and PNGs at the photo's size."""

    output = "saliency"
    signatures = {"serving_default": ("saliency",)}
    image_bytes_outputs = ("saliency",)
    png_output = "saliency_png_bytes"
    output_description = "saliency in 0..1; resize it bilinearly to the photo's size"

    def heads(self, logits, side):
        return {"saliency": keras.layers.Activation("sigmoid", name="saliency")(logits)}

    def draw(self, heads, size, side):
        grey = tf.round(_resize(heads["saliency"], size) * 255)
        return tf.cast(grey, tf.uint8)

    def drawn_difference(self, pixels, heads, size, side) -> float:
        # Rounding to 8 bits accounts for half a grey level.
        off = np.abs(pixels / 255 - _resize(heads["saliency"], size)).max()
        return float(off - 0.5 / 255)


class SaliencyTask(Task):
    """Salient object detection with PiCANets (Sec. 4). See `saliency_outputs`."""

    spec = SaliencySpec()
    serving = SaliencyServing()
    network_name = "picanet_"
    output_shape = ("N", "h", "w", 1)
    foreground_title = "saliency"
    no_object_advice = (
        "Check the masks: objects must be white (255) on black (0). If they are black "
        "on white, convert the data set with --invert_masks"
    )

    def build_outputs(self, image, config):
        return saliency_outputs(image, config)

    def attach_points(self, variant: str) -> dict[int, AttachPoint]:
        return attach_points_of_unet(self.spec.parse_variant(variant))

    def encode_targets(self, truth, outputs, image_size):
        return targets.encode_targets(truth, outputs)

    def has_object(self, targets):
        return tf.reduce_any(targets["stage1"] > 0)

    def losses(self, outputs):
        return losses.losses(outputs)

    def loss_weights(self, outputs, attention_weight=ATTENTION_WEIGHT):
        return losses.loss_weights(outputs, attention_weight)

    def validation(self, image_size):
        return SaliencyValidation()

    def panel(self, image, truth, outputs):
        return panel(image, truth, outputs)

    def logits(self, outputs):
        return outputs["stage1"]

    def activate(self, logits, side):
        return tf.sigmoid(logits)

    def foreground(self, logits, side):
        return tf.sigmoid(logits)

    def measure_attention(self, model, batches):
        """Measures what GAP, LAP and AC look at (Sec. 4.3 and 5.4)."""
        results = attention_shares.measure_attention(model, batches)
        return results, attention_shares.shares_table(results)


def _resize(saliency, size):
    return tf.image.resize(saliency, size, method="bilinear")
