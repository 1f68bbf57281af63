"""The engine that runs a Keras network: every task, any precision, any hardware."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from picanet_tf.errors import PicanetError
from picanet_tf.inference.base import Model
from picanet_tf.networks import identify, rebuilt


class Predictor(Model):
    """Predicts what its network learned: saliency maps, class maps or boxes.

    Args:
        model: a network of some task's `build_model`.

    Attributes:
        network: the network itself, at the size that it predicts at.
        identity: which network it is.

    Raises:
        PicanetError: it is no such network.

    Example:
        >>> model = load_model("runs/latest")
        >>> model.predict("photo.jpg").shape
        (480, 640)
    """

    def __init__(self, model: keras.Model):
        self.identity = identify(model)
        how = self.identity.task.prediction
        trained = model.input.shape[1]
        side = how.test_size(self.identity.variant, trained)
        super().__init__(self.identity.task_name, how, side)
        self.network = model if side == trained else rebuilt(model, side)
        outputs = how.finest(self.network.output)
        finest = keras.Model(self.network.input, outputs)
        self._infer = tf.function(
            lambda images: how.activate(finest(images, training=False), side),
            input_signature=[tf.TensorSpec([None, side, side, 3], tf.float32)],
        )

    def infer(self, batch: np.ndarray):
        return self._infer(batch)


class SaliencyModel(Predictor):
    """A `Predictor` of saliency maps, float32 [H, W] in [0, 1]."""

    def __init__(self, model: keras.Model):
        super().__init__(model)
        if self.task_name != "saliency":
            raise PicanetError(f"The model {model.name} is no saliency network")
