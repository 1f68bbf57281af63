"""The toy task's network, training and export."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from picanet_tf.backbones.vgg16 import scale_channels
from picanet_tf.tasks import ServingSpec, Task
from picanet_tf.tasks.base import Validation
from tests.tasks.toy import ToySpec


class ToyServing(ServingSpec):
    output = "probability"
    signatures = {"serving_default": ("probability",)}
    image_bytes_outputs = ("probability",)
    output_description = "0..1"

    def heads(self, logits, side):
        return {
            "probability": keras.layers.Activation("sigmoid", name="probability")(
                logits
            )
        }


class ToyValidation(Validation):
    best = "accuracy"

    def __init__(self):
        self.shares: list[float] = []

    def update(self, outputs, truth):
        self.shares.append(float(np.mean((outputs["logits"] > 0) == (truth > 0.5))))

    def result(self):
        return {"accuracy": float(np.mean(self.shares))}


class ToyTask(Task):
    spec = ToySpec()
    serving = ToyServing()
    network_name = "toy_"
    output_shape = ("N", "h", "w", 1)

    def build_outputs(self, image, config):
        options = {"use_bias": config.variant == "Pixels"}
        layers = keras.layers
        x = layers.Rescaling(1 / 255, name="rescaling")(image)
        filters = scale_channels(64, config.width)
        x = layers.Conv2D(filters, 1, activation="tanh", name="see", **options)(x)
        head = layers.Conv2D(1, 1, name="logits", dtype="float32", **options)
        return {"logits": head(x)}

    def attach_points(self, variant):
        return {}

    def encode_targets(self, truth, outputs, image_size):
        return {"logits": tf.cast(truth > 0.5, tf.float32)}

    def losses(self, outputs):
        return {"logits": keras.losses.BinaryCrossentropy(from_logits=True)}

    def loss_weights(self, outputs, attention_weight=0.0):
        return {"logits": 1.0}

    def validation(self, image_size):
        return ToyValidation()

    def panel(self, image, truth, outputs):
        tiles = [image / 255, truth, tf.sigmoid(outputs["logits"]).numpy()]
        tiles = [np.broadcast_to(tile, image.shape) for tile in tiles]
        return np.uint8(np.round(np.concatenate(tiles, axis=1).clip(0, 1) * 255))

    def logits(self, outputs):
        return outputs["logits"]

    def activate(self, logits, side):
        return tf.sigmoid(logits)

    def foreground(self, logits, side):
        return tf.sigmoid(logits)
