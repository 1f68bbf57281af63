"""Runs the network during its training, for validation scores and pictures."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from picanet_tf.tasks.base import Task, Validation
from picanet_tf.training.errors import NotFinite

PANELS = 4  # number of images in TensorBoard


class Validator:
    """Runs a network on validation images.

    Args:
        task: the task of the network.
        model: the network.
    """

    def __init__(self, task: Task, model: keras.Model):
        self._task = task
        self._image_size = model.image_size
        self._infer = tf.function(lambda images: model(images, training=False))

    def validate(self, dataset: tf.data.Dataset) -> Validation:
        """Returns the validation of all batches (images, ground truth).

        Raises:
            NotFinite: if outputs are not numbers.
        """
        validation = self._task.validation(self._image_size)
        for images, ground_truth in dataset:
            outputs = self._outputs(images)
            wrong = [name for name, value in outputs.items() if np.isnan(value).any()]
            if wrong:
                raise NotFinite(wrong)
            validation.update(outputs, ground_truth.numpy())
        return validation

    def panels(self, images: tf.Tensor, ground_truth: tf.Tensor) -> list[np.ndarray]:
        """Returns pictures of the first `PANELS` images with their outputs.

        Args:
            images: float32 [N, S, S, 3], RGB 0..255.
            ground_truth: the ground truth of the images.
        """
        images, ground_truth = images[:PANELS], ground_truth[:PANELS].numpy()
        outputs = self._outputs(images)
        return [
            self._task.panel(
                image, ground_truth[i], {name: v[i] for name, v in outputs.items()}
            )
            for i, image in enumerate(images.numpy())
        ]

    def _outputs(self, images) -> dict[str, np.ndarray]:
        return {name: value.numpy() for name, value in self._infer(images).items()}
