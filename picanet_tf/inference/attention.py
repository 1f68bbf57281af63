"""A trained network as one object: image in, result at the image's size out."""

from __future__ import annotations

import os
import reprlib
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from data_pipeline.images import read_image
from picanet_tf.context import ATTENTIVE
from picanet_tf.errors import PicanetError
from picanet_tf.networks import identify, rebuilt
from picanet_tf.pixels import Pixel
from picanet_tf.seams import AttachPoint
from picanet_tf.training.run_directory import weights_of
from picanet_tf.weights import load_keras

Source = str | os.PathLike | bytes | Image.Image | np.ndarray


def load_model(run: str | os.PathLike, weights: str = "model") -> Predictor:
    """Loads the network of a run.

    Args:
        run: a run directory, or a `.keras` file out of one.
        weights: of a run directory, `"model"` (last checkpoint) or `"best"`.

    Raises:
        PicanetError: no run, or no network in it yet; one line says which.
    """
    path = weights_of(run, weights)
    model = load_keras(path)
    try:
        return Predictor(model)
    except PicanetError as error:
        raise PicanetError(f"{path}: {error}") from error


class Predictor:
    """Predicts what its network learned: saliency maps, or class maps.

    Args:
        model: a network of some task's `build_model`.

    Attributes:
        network: the network itself, at the size that it predicts at.
        image_size: side of the network's input, in pixels.
        formats: of results; `render` draws those that are not `collected`, the first
            is the default.
        collected: {format: {name: result} -> {file name: text}, of them all}.

    Raises:
        PicanetError: it is no such network.

    Example:
        >>> model = load_model("runs/latest")
        >>> model.predict("photo.jpg").shape
        (480, 640)
    """

    def __init__(self, model: keras.Model):
        self.identity = identify(model)
        self._how = self.identity.task.prediction
        trained = model.input.shape[1]
        side = self._how.test_size(self.identity.variant, trained)
        self.network = model if side == trained else rebuilt(model, side)
        self.image_size = side
        self.formats = self._how.formats
        self.collected = self._how.collected
        outputs = self._how.finest(self.network.output)
        finest = keras.Model(self.network.input, outputs)
        self._infer = tf.function(
            lambda images: self._how.activate(finest(images, training=False), side),
            input_signature=[tf.TensorSpec([None, side, side, 3], tf.float32)],
        )

    def predict(self, images: Source | Iterable[Source], batch_size: int = 8):
        """Saliency maps, or class maps.

        Args:
            images: a path, encoded bytes, a PIL image or a uint8 array [H, W, 3], RGB;
                or several of them, of any sizes; or a uint8 array [N, H, W, 3].
            batch_size: images that go through the network at once.

        Returns:
            At the image's own size, after its EXIF orientation: float32 [H, W],
            saliency in [0, 1]; or uint8 [H, W], the class of each pixel; or
            `detection.results.Detections`. A list of them for several images.

        Raises:
            UserError: an image that cannot be read, by name.
            ValueError: an array that is not uint8 [H, W, 3].
            TypeError: what is none of these.
        """
        several = isinstance(images, np.ndarray) and images.ndim == 4
        if isinstance(images, Source) and not several:
            return next(self.predict_arrays([_to_array(images)], 1))
        if not isinstance(images, Iterable):
            raise _no_image(images)
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
        return self._how.prepare(image, self.image_size).numpy()

    def frame(self, image: np.ndarray) -> np.ndarray:
        """What the network's maps lie over: the image, or a square around it."""
        return self._how.frame(image, self.image_size)

    def render(
        self, form: str, image: np.ndarray, result: np.ndarray, threshold: float = 0.5
    ) -> Image.Image:
        """Draws a result of `predict` in one of `formats`."""
        return self._how.render(form, image, result, threshold)

    def _maps(self, batch, sizes) -> Iterator[np.ndarray]:
        for small, size in zip(self._infer(np.stack(batch)), sizes, strict=True):
            yield self._how.finish(small, size, self.image_size)


class SaliencyModel(Predictor):
    """A `Predictor` of saliency maps, float32 [H, W] in [0, 1]."""

    def __init__(self, model: keras.Model):
        super().__init__(model)
        if self.identity.task_name != "saliency":
            raise PicanetError(f"The model {model.name} is no saliency network")


class Look(NamedTuple):
    """What a network does with one image.

    Attributes:
        saliency: float32 [H, W] in [0, 1], of the frame's size: the saliency map, or
            the probability of any class but the background.
        attention: {attach point: float32 [h, w, K*K]} of its attentive modules.
        features: {attach point: (F_i, F_att)}, of its modules with context, each
            float32 [h, w], the mean over the channels.
        points: {attach point: where it is}, of all these.
        title: what `saliency` is called.
        pixels: {label: pixel of the frame} to look from when none is chosen.
        objects: {label: pixel in its middle} of each object found, the surest first;
            empty of a task that finds none.
    """

    saliency: np.ndarray
    attention: dict[int, np.ndarray]
    features: dict[int, tuple[np.ndarray, np.ndarray]]
    points: dict[int, AttachPoint] = {}  # noqa: RUF012  never changed
    title: str = "saliency"
    pixels: dict[str, Pixel] = {}  # noqa: RUF012
    objects: dict[str, Pixel] = {}  # noqa: RUF012


class AttentionModel:
    """Shows what the attentive modules of a network look at.

    Builds the network once more with its attention as outputs and takes its weights
    over; variant, size and width are read off the network itself.

    Args:
        model: a loaded network.

    Attributes:
        kinds: {attach point: "GAP", "LAP" or "AC"}, coarse to fine: decoding stages of
            a U-Net, branches of a DeepLab.
        finds_objects: whether a look tells of objects.

    Raises:
        PicanetError: the network has no attentive module.

    Example:
        >>> look = AttentionModel(load_model("runs/latest")).look("photo.jpg")
        >>> look.attention[6].shape
        (28, 28, 100)
    """

    def __init__(self, model: Predictor):
        self._model = model
        self._how = model.identity.task.prediction
        self._points = model.identity.attach_points
        self.kinds = {
            i: point.kind
            for i, point in self._points.items()
            if point.kind in ATTENTIVE
        }
        self.title = self._how.foreground_title
        self.finds_objects = self._how.middles is not None
        if not self.kinds:
            raise PicanetError(
                f"The variant {model.identity.variant} has no attention to look at: "
                f"none of its modules is {', '.join(ATTENTIVE)}"
            )
        network = rebuilt(model.network, return_attention=True)
        attention = {
            name: network.output[name] for name in map("attention{}".format, self.kinds)
        }
        features = {
            f"{name}{i}": keras.ops.mean(keras.ops.cast(feature, "float32"), axis=-1)
            for i, point in self._points.items()
            for name, feature in _tap(network, point).items()
        }
        finest = self._how.finest(network.output)
        self._look = _function(
            keras.Model(network.input, {"finest": finest, **attention, **features})
        )
        grids = {f"{i}": network.output[f"attention{i}"] for i in self.global_stages}
        # Only what these need: the finer decoding modules are not run.
        self._grids = _function(keras.Model(network.input, grids)) if grids else None

    @property
    def labels(self) -> list[str]:
        """What the attentive modules are called: "D6 GAP"."""
        return [f"{self._points[i].label} {kind}" for i, kind in self.kinds.items()]

    @property
    def global_stages(self) -> tuple[int, ...]:
        return tuple(i for i, kind in self.kinds.items() if kind == "GAP")

    def look(self, image: Source) -> Look:
        """Runs the network on one image, given as for `Predictor.predict`."""
        image = _to_array(image)
        outputs = self._look(self._model.resize(image)[np.newaxis])
        small = self._how.foreground(outputs["finest"], self._model.image_size)[0]
        size = self.frame(image).shape[:2]
        foreground = tf.image.resize(small, size, method="bilinear").numpy()[..., 0]
        side = self._model.image_size
        activated = self._how.activate(outputs["finest"], side)[0]
        result = self._how.finish(activated, image.shape[:2], side)
        return Look(
            foreground,
            {i: outputs[f"attention{i}"][0].numpy() for i in self.kinds},
            {
                i: (
                    outputs[f"features{i}"][0].numpy(),
                    outputs[f"attended{i}"][0].numpy(),
                )
                for i in self._points
            },
            self._points,
            self.title,
            self._how.telling(foreground, result),
            self._how.middles(result, size) if self.finds_objects else {},
        )

    def frame(self, image: np.ndarray) -> np.ndarray:
        """What a look lies over: the image, or a square around it."""
        return self._model.frame(image)

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


def _tap(network: keras.Model, point: AttachPoint) -> dict:
    """F_i and F_att, the input and the output of a context module."""
    attended = network.get_layer(point.layer).output
    return {
        "features": network.get_layer(point.before).output,
        # With its attention, a module has two outputs.
        "attended": attended[0] if isinstance(attended, (list, tuple)) else attended,
    }


def _function(model: keras.Model):
    return tf.function(
        lambda images: model(images, training=False),
        input_signature=[tf.TensorSpec([None, *model.input.shape[1:]], tf.float32)],
    )


def _to_array(image: Source) -> np.ndarray:
    if not isinstance(image, Source):
        raise _no_image(image)
    if not isinstance(image, np.ndarray):
        return read_image(image)
    shape = image.shape
    if image.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ValueError(
            "An image array must be uint8 [height, width, 3], RGB, and not empty. "
            f"Received: {image.dtype} {image.shape}"
        )
    return image


def _no_image(value: object) -> TypeError:
    return TypeError(
        "An image must be a path, encoded bytes, a PIL image or a uint8 array [height, "
        "width, 3]; several of them, a list or another iterable. Received: "
        f"{reprlib.repr(value)} ({type(value).__name__})"
    )
