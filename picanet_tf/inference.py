"""A trained network as one object: image in, saliency map at the image's size out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from data_pipeline.images import read_image
from picanet_tf.context import ATTENTIVE
from picanet_tf.errors import PicanetError
from picanet_tf.saliency.model import CHANNELS, ENCODER_FEATURES, build_model
from picanet_tf.saliency.variants import parse_variant
from picanet_tf.training.run_directory import RunDirectory
from picanet_tf.weights import copy_weights, load_keras

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
    model = load_keras(path)
    try:
        return SaliencyModel(model)
    except PicanetError as error:
        raise PicanetError(f"{path}: {error}") from error


class SaliencyModel:
    """Predicts saliency maps.

    Args:
        model: a network of `picanet_tf.saliency.build_model`.

    Attributes:
        network: the network itself.
        image_size: side of the network's input, in pixels.

    Example:
        >>> model = load_model("runs/latest")
        >>> model.predict("photo.jpg").shape
        (480, 640)
    """

    def __init__(self, model: keras.Model):
        outputs = getattr(model, "output", None)  # A Sequential may have none yet.
        if not isinstance(outputs, dict) or "stage1" not in outputs:
            raise PicanetError(
                f"The model {model.name} has no output stage1, so it is no saliency "
                "network"
            )
        shape = getattr(model.input, "shape", ())  # Several inputs have none.
        map_shape = model.output["stage1"].shape
        side = shape[1] if len(shape) == 4 else None
        if side is None or tuple(shape[2:]) != (side, 3) or map_shape[3:] != (1,):
            raise PicanetError(
                f"The model {model.name} must take images [side, side, 3] and give "
                f"maps [h, w, 1]. Received: {tuple(shape)} and {tuple(map_shape)}"
            )
        self.network = model
        self.image_size = side
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
                or several of them, of any sizes; or a uint8 array [N, H, W, 3].
            batch_size: images that go through the network at once.

        Returns:
            float32 [H, W] in [0, 1] at the image's own size, after its EXIF
            orientation; a list of them for several images.

        Raises:
            UserError: an image that cannot be read, by name.
            ValueError: an array that is not uint8 [H, W, 3].
        """
        several = isinstance(images, np.ndarray) and images.ndim == 4
        if isinstance(images, Source) and not several:
            return next(self.predict_arrays([_to_array(images)], 1))
        return list(self.predict_arrays(map(_to_array, images), batch_size))

    def predict_arrays(
        self, images: Iterable[np.ndarray], batch_size: int = 8
    ) -> Iterator[np.ndarray]:
        """As `predict` for uint8 arrays [H, W, 3], one map after the other.

        Holds no more than a batch of images.
        """
        if batch_size < 1:
            raise ValueError(
                f"`batch_size` must be at least 1. Received: batch_size={batch_size}"
            )
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

    def predict_named(
        self, named: Iterable[tuple[object, np.ndarray]], batch_size: int = 8
    ) -> Iterator[tuple[object, np.ndarray, np.ndarray]]:
        """As `predict_arrays`: (name, image) in, (name, image, map) out."""
        waiting: deque[tuple[object, np.ndarray]] = deque()

        def images():
            for pair in named:
                waiting.append(pair)
                yield pair[1]

        for saliency in self.predict_arrays(images(), batch_size):
            yield (*waiting.popleft(), saliency)

    def resize(self, image: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] -> float32 at the network's input size, as in training."""
        side = [self.image_size, self.image_size]
        return tf.image.resize(image, side, method="bilinear").numpy()

    def _maps(self, batch, sizes) -> Iterator[np.ndarray]:
        for small, size in zip(self._infer(np.stack(batch)), sizes, strict=True):
            yield tf.image.resize(small, size, method="bilinear").numpy()[..., 0]


class Look(NamedTuple):
    """What a network does with one image.

    Attributes:
        saliency: float32 [H, W] in [0, 1], of the image's size.
        attention: {decoding stage: float32 [h, w, K*K]} of its attentive modules.
        features: {decoding stage: (F_i, F_att)}, of its modules with context, each
            float32 [h, w], the mean over the channels.
    """

    saliency: np.ndarray
    attention: dict[int, np.ndarray]
    features: dict[int, tuple[np.ndarray, np.ndarray]]


class AttentionModel:
    """Shows what the attentive modules of a network look at.

    Builds the network once more with its attention as outputs and takes its weights
    over; variant, size and width are read off the network itself.

    Args:
        model: a loaded network.

    Attributes:
        kinds: {decoding stage: "GAP", "LAP" or "AC"}, coarse to fine.

    Raises:
        PicanetError: the network has no attentive module.

    Example:
        >>> look = AttentionModel(load_model("runs/latest")).look("photo.jpg")
        >>> look.attention[6].shape
        (28, 28, 100)
    """

    def __init__(self, model: SaliencyModel):
        self._model = model
        variant = model.network.name.removeprefix("picanet_")
        try:
            plan = parse_variant(variant)
        except ValueError as error:
            raise PicanetError(f"The network's name: {error}") from error
        self.kinds = {i: kind for i, kind in plan.items() if kind in ATTENTIVE}
        if not self.kinds:
            raise PicanetError(
                f"The variant {variant} has no attention to look at: none of its "
                f"modules is {', '.join(ATTENTIVE)}"
            )
        channels = model.network.get_layer(ENCODER_FEATURES[6]).output.shape[-1]
        network = build_model(
            variant,
            image_size=model.image_size,
            width=channels / CHANNELS[6],
            return_attention=True,
        )
        copy_weights(model.network, network)
        attention = {
            name: network.output[name] for name in map("attention{}".format, self.kinds)
        }
        features = {
            f"{name}{i}": keras.ops.mean(keras.ops.cast(feature, "float32"), axis=-1)
            for i, kind in plan.items()
            for name, feature in _tap(network, i, kind).items()
        }
        self._stages = tuple(plan)
        self._look = _function(
            keras.Model(
                network.input,
                {"stage1": network.output["stage1"], **attention, **features},
            )
        )
        grids = {f"{i}": network.output[f"attention{i}"] for i in self.global_stages}
        # Only what these need: the finer decoding modules are not run.
        self._grids = _function(keras.Model(network.input, grids)) if grids else None

    @property
    def global_stages(self) -> tuple[int, ...]:
        return tuple(i for i, kind in self.kinds.items() if kind == "GAP")

    def look(self, image: Source) -> Look:
        """Runs the network on one image, given as for `SaliencyModel.predict`."""
        image = _to_array(image)
        outputs = self._look(self._model.resize(image)[np.newaxis])
        small = tf.sigmoid(outputs["stage1"][0])
        saliency = tf.image.resize(small, image.shape[:2], method="bilinear")
        return Look(
            saliency.numpy()[..., 0],
            {i: outputs[f"attention{i}"][0].numpy() for i in self.kinds},
            {
                i: (
                    outputs[f"features{i}"][0].numpy(),
                    outputs[f"attended{i}"][0].numpy(),
                )
                for i in self._stages
            },
        )

    def global_attention(self, images) -> dict[int, np.ndarray]:
        """The attention of the modules with GAP.

        Args:
            images: float32 [N, S, S, 3], RGB 0..255, of the network's input size.

        Returns:
            {decoding stage: float32 [N, h, w, K*K]}.

        Raises:
            PicanetError: the network has no GAP.
        """
        if self._grids is None:
            raise PicanetError(
                f"The network {self._model.network.name} has no GAP, so it has no "
                "global attention to measure"
            )
        return {int(i): grid.numpy() for i, grid in self._grids(images).items()}


def _tap(network: keras.Model, stage: int, kind: str) -> dict:
    """F_i and F_att, the input and the output of the context module of D_i."""
    features = "encoder_relu" if stage == 6 else "fuse_relu"
    attended = network.get_layer(f"d{stage}_{kind.lower()}").output
    return {
        "features": network.get_layer(f"d{stage}_{features}").output,
        # With its attention, a module has two outputs.
        "attended": attended[0] if isinstance(attended, (list, tuple)) else attended,
    }


def _function(model: keras.Model):
    return tf.function(
        lambda images: model(images, training=False),
        input_signature=[tf.TensorSpec([None, *model.input.shape[1:]], tf.float32)],
    )


def _to_array(image: Source) -> np.ndarray:
    if not isinstance(image, np.ndarray):
        return read_image(image)
    shape = image.shape
    if image.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ValueError(
            "An image array must be uint8 [height, width, 3], RGB, and not empty. "
            f"Received: {image.dtype} {image.shape}"
        )
    return image
