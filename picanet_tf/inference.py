"""A trained network as one object: image in, saliency map at the image's size out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from data_pipeline.images import read_image
from picanet_tf.errors import PicanetError
from picanet_tf.training.run_directory import RunDirectory
from picanet_tf.weights import load_keras

Source = str | os.PathLike | bytes | Image.Image | np.ndarray


def load_model(run: str | os.PathLike, weights: str = "model") -> SaliencyModel:
    """Loads the network of a run.

    Args:
        run: a run directory, or a `.keras` file out of one.
        weights: of a run directory, `"model"` (last checkpoint) or `"best"`.

    Raises:
        PicanetError: no run, or no network in it yet; one line says which.
    """
    path = Path(run)
    if path.suffix != ".keras":
        path = RunDirectory.open(path).weights(weights)
    elif not path.is_file():
        raise PicanetError(f"There is no model file {path}")
    return SaliencyModel(load_keras(path))


class SaliencyModel:
    """Predicts saliency maps.

    Args:
        model: a network of `picanet_tf.saliency.build_model`.

    Attributes:
        image_size: side of the network's input, in pixels.

    Example:
        >>> model = load_model("runs/latest")
        >>> model.predict("photo.jpg").shape
        (480, 640)
    """

    def __init__(self, model: keras.Model):
        if "stage1" not in model.output:
            raise PicanetError(
                f"The model {model.name} has no output stage1, so it is no saliency "
                "network"
            )
        self.image_size = model.input.shape[1]
        finest = keras.Model(model.input, model.output["stage1"])
        self._infer = tf.function(
            lambda images: tf.sigmoid(finest(images, training=False)),
            input_signature=[
                tf.TensorSpec([None, self.image_size, self.image_size, 3], tf.float32)
            ],
        )

    def predict(self, images: Source | Iterable[Source], batch_size: int = 8):
        """Saliency maps.

        Args:
            images: a path, encoded bytes, a PIL image or a uint8 array [H, W, 3], RGB;
                or several of them, of any sizes.
            batch_size: images that go through the network at once.

        Returns:
            float32 [H, W] in [0, 1] at the image's own size, after its EXIF
            orientation; a list of them for several images.

        Raises:
            UserError: an image that cannot be read, by name.
            ValueError: an array that is not uint8 [H, W, 3].
        """
        if isinstance(images, (str, os.PathLike, bytes, Image.Image, np.ndarray)):
            return next(self.predict_arrays([_to_array(images)], 1))
        return list(self.predict_arrays(map(_to_array, images), batch_size))

    def predict_arrays(
        self, images: Iterable[np.ndarray], batch_size: int = 8
    ) -> Iterator[np.ndarray]:
        """As `predict` for uint8 arrays [H, W, 3], one map after the other.

        Holds no more than a batch of images.
        """
        batch: list[np.ndarray] = []
        sizes: list[tuple[int, int]] = []
        for image in images:
            batch.append(self.resize(image))
            sizes.append(image.shape[:2])
            if len(batch) == batch_size:
                yield from self._maps(batch, sizes)
                batch, sizes = [], []
        if batch:
            yield from self._maps(batch, sizes)

    def resize(self, image: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] -> float32 at the network's input size, as in training."""
        side = [self.image_size, self.image_size]
        return tf.image.resize(image, side, method="bilinear").numpy()

    def _maps(self, batch, sizes) -> Iterator[np.ndarray]:
        for small, size in zip(self._infer(np.stack(batch)), sizes, strict=True):
            yield tf.image.resize(small, size, method="bilinear").numpy()[..., 0]


def _to_array(image: Source) -> np.ndarray:
    if not isinstance(image, np.ndarray):
        return read_image(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            "An image array must be uint8 [height, width, 3], RGB. "
            f"Received: {image.dtype} {image.shape}"
        )
    return image
