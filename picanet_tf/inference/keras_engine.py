"""The Keras engine: runs networks of any task."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from picanet_tf.core.errors import PicanetError
from picanet_tf.inference.base import Model
from picanet_tf.models.base import Network


class KerasModel(Model):
    """Predicts saliency maps, class maps or boxes with a Keras network.

    Args:
        network: a network built by a task's `build_model`.

    Attributes:
        network: the network, at its test-time input size.

    Raises:
        PicanetError: if the network was not built by `build_model`.

    Example:
        >>> model = load_model("runs/latest")
        >>> model.predict("photo.jpg").shape
        (480, 640)
    """

    takes_batches = True

    def __init__(self, network: keras.Model):
        if not isinstance(network, Network):
            raise PicanetError(
                f"The model {network.name} was not built by `build_model`: it has no "
                "network configuration"
            )
        task = network.task
        side = task.test_image_size(network.variant, network.image_size)
        if side != network.image_size:
            network = network.rebuild(image_size=side, dtype="float32")
        super().__init__(task.spec, side)
        self.network = network
        logits = keras.Model(network.input, task.logits(network.output))
        self._infer = tf.function(
            lambda images: task.activate(logits(images, training=False), side),
            input_signature=[tf.TensorSpec([None, side, side, 3], tf.float32)],
        )

    def infer(self, batch: np.ndarray):
        return self._infer(batch)
