"""What a network looks at: its attention as outputs. Sec. 3, Fig. 4 and 5."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from picanet_tf.core.errors import PicanetError
from picanet_tf.drawing.attention import Context
from picanet_tf.drawing.pixels import Pixel, cell_of
from picanet_tf.inference.keras_engine import KerasModel
from picanet_tf.inference.sources import Source, to_array
from picanet_tf.layers.attention_ops import local_window
from picanet_tf.models.base import Network
from picanet_tf.models.context_modules import (
    ATTENTIVE,
    AttachPoint,
    fit_grid,
    global_positions,
)


class AttentionMaps(NamedTuple):
    """What a network does with one image, over its frame of H x W pixels.

    Attributes:
        foreground: float32 [H, W] in [0, 1]: the saliency map, or the probability of
            any class but the background.
        attention: {attach point: float32 [h, w, K*K]} of its attentive modules.
        features: {attach point: (F_i, F_att)}, of its modules with context, each
            float32 [h, w], the mean over the channels.
        points: {attach point: where it is}, of all these.
        foreground_title: what `foreground` is called.
        query_pixels: {label: pixel of the frame} to look from when none is chosen.
        box_centers: {label: pixel of the frame} of each object found, by falling score;
            empty of a task that finds none.
    """

    foreground: np.ndarray
    attention: dict[int, np.ndarray]
    features: dict[int, tuple[np.ndarray, np.ndarray]]
    points: dict[int, AttachPoint]
    foreground_title: str = "saliency"
    query_pixels: dict[str, Pixel] = {}  # noqa: RUF012  never changed
    box_centers: dict[str, Pixel] = {}  # noqa: RUF012

    def context(self, key: int, pixel: Pixel) -> Context:
        """What a pixel of the frame looks at in one of the attentive modules.

        Args:
            key: of `attention`.
            pixel: of the frame.

        Raises:
            PicanetError: the pixel is outside the frame.
        """
        weights, point = self.attention[key], self.points[key]
        cell = cell_of(pixel, self.foreground.shape, weights.shape[:2])
        return context_of(weights, point.kind, cell, point.dilation_rate)


def context_of(
    attention: np.ndarray, kind: str, cell: tuple[int, int], dilation_rate: int = 2
) -> Context:
    """What the pixel at a cell of a module's map looks at.

    Args:
        attention: float [h, w, K*K], of one image.
        kind: `"GAP"`, `"LAP"` or `"AC"`.
        cell: (row, column) on the map.
        dilation_rate: of a local window.
    """
    height, width, positions = attention.shape
    kernel_size = round(positions**0.5)
    weights = attention[cell].reshape(kernel_size, kernel_size)
    size = (height, width)
    if kind == "GAP":
        step = fit_grid(height, kernel_size)[1]
        rows, columns = (
            np.arange(side)[global_positions(side, kernel_size)] for side in size
        )
    else:
        step = dilation_rate
        rows, columns = (
            np.array(local_window(position, kernel_size, step)) for position in cell
        )
    return Context(weights, rows, columns, cell, size, step, kind)


class AttentionModel:
    """Shows what the attentive modules of a network look at.

    Builds the network once more with its attention as outputs and takes its weights
    over.

    Args:
        model: a loaded network.

    Attributes:
        points: {attach point: where it is} of the attentive modules, coarse to fine:
            decoding stages of a U-Net, branches of a DeepLab.
        task: the network's.
        image_size: side of its input, in pixels.
        finds_objects: whether its maps tell of objects.

    Raises:
        PicanetError: the network has no attentive module.

    Example:
        >>> maps = AttentionModel(load_model("runs/latest")).predict("photo.jpg")
        >>> maps.attention[6].shape
        (28, 28, 100)
    """

    def __init__(self, model: KerasModel):
        self._model = model
        self.task = model.network.task
        self.image_size = model.image_size
        self._all_points = model.network.attach_points
        self.points = {
            key: point
            for key, point in self._all_points.items()
            if point.kind in ATTENTIVE
        }
        self.finds_objects = self.task.finds_objects
        if not self.points:
            raise PicanetError(
                f"The variant {model.network.variant} has no attention to look at: "
                f"none of its modules is {', '.join(ATTENTIVE)}"
            )
        network = model.network.rebuild(return_attention=True, dtype="float32")
        attention = {
            name: network.output[name]
            for name in map("attention{}".format, self.points)
        }
        features = {
            f"{name}{key}": keras.ops.mean(keras.ops.cast(feature, "float32"), axis=-1)
            for key, point in self._all_points.items()
            for name, feature in _features_around(network, point).items()
        }
        logits = self.task.logits(network.output)
        self._predict = _compile(
            keras.Model(network.input, {"logits": logits, **attention, **features})
        )
        grids = {
            f"{key}": network.output[f"attention{key}"] for key in self.global_keys
        }
        # Only what these need: the finer decoding modules are not run.
        self._grids = _compile(keras.Model(network.input, grids)) if grids else None

    @property
    def labels(self) -> list[str]:
        """What the attentive modules are called: "D6 GAP"."""
        return [f"{point.label} {point.kind}" for point in self.points.values()]

    @property
    def global_keys(self) -> tuple[int, ...]:
        """The attach points of the modules with GAP."""
        return tuple(k for k, point in self.points.items() if point.kind == "GAP")

    def predict(self, image: Source) -> AttentionMaps:
        """Runs the network on one image, given as for `KerasModel.predict`."""
        image, side = to_array(image), self._model.image_size
        outputs = self._predict(self._model.resize(image)[np.newaxis])
        small = self.task.foreground(outputs["logits"], side)[0]
        size = self.frame(image).shape[:2]
        foreground = tf.image.resize(small, size, method="bilinear").numpy()[..., 0]
        activated = np.asarray(self.task.activate(outputs["logits"], side)[0])
        result = self.task.spec.postprocess(activated, image.shape[:2], side)
        return AttentionMaps(
            foreground,
            {key: outputs[f"attention{key}"][0].numpy() for key in self.points},
            {
                key: (
                    outputs[f"features{key}"][0].numpy(),
                    outputs[f"attended{key}"][0].numpy(),
                )
                for key in self._all_points
            },
            self._all_points,
            self.task.foreground_title,
            self.task.default_query_pixels(foreground, result),
            self.task.box_centers(result, size),
        )

    def frame(self, image: np.ndarray) -> np.ndarray:
        """What the maps lie over: the image, or a square around it."""
        return self._model.frame(image)

    def global_attention(self, images) -> dict[int, np.ndarray]:
        """The attention of the modules with GAP.

        Args:
            images: float32 [N, S, S, 3], RGB 0..255, of the network's input size.

        Returns:
            {attach point: float32 [N, h, w, K*K]}.

        Raises:
            PicanetError: the network has no GAP.
        """
        if self._grids is None:
            raise PicanetError(
                f"The network {self._model.network.name} has no GAP, so it has no "
                "global attention to measure"
            )
        return {int(key): grid.numpy() for key, grid in self._grids(images).items()}


def _features_around(network: Network, point: AttachPoint) -> dict:
    """F_i and F_att, the input and the output of a context module."""
    attended = network.get_layer(point.layer).output
    return {
        "features": network.get_layer(point.input_layer).output,
        # With its attention, a module has two outputs.
        "attended": attended[0] if isinstance(attended, (list, tuple)) else attended,
    }


def _compile(model: keras.Model):
    return tf.function(
        lambda images: model(images, training=False),
        input_signature=[tf.TensorSpec([None, *model.input.shape[1:]], tf.float32)],
    )
