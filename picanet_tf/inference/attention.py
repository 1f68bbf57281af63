"""Networks that output their attention maps (Sec. 3, Fig. 4 and 5 of the paper)."""

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
    """Attention and features of one image, in a frame of H x W pixels.

    Attributes:
        foreground: float32 [H, W] in [0, 1], the saliency map or the probability of
            any class other than background.
        attention: {attach point key: float32 [h, w, K*K]} of the attentive modules.
        features: {attach point key: (F_i, F_att)} of all context modules, each
            float32 [h, w], averaged over the channels.
        points: {attach point key: `AttachPoint`} of all context modules.
        foreground_title: title of `foreground` in figures.
        query_pixels: {label: pixel of the frame}, the default query pixels.
        box_centers: {label: pixel of the frame} of each detected object, by descending
            score; empty for tasks that do not detect objects.
    """

    foreground: np.ndarray
    attention: dict[int, np.ndarray]
    features: dict[int, tuple[np.ndarray, np.ndarray]]
    points: dict[int, AttachPoint]
    foreground_title: str = "saliency"
    query_pixels: dict[str, Pixel] = {}  # noqa: RUF012  never mutated
    box_centers: dict[str, Pixel] = {}  # noqa: RUF012

    def context(self, key: int, pixel: Pixel) -> Context:
        """Returns what a pixel attends to in one attentive module.

        Args:
            key: a key of `attention`.
            pixel: query pixel in the frame.

        Raises:
            PicanetError: if the pixel is outside the frame.
        """
        weights, point = self.attention[key], self.points[key]
        cell = cell_of(pixel, self.foreground.shape, weights.shape[:2])
        return context_of(weights, point.kind, cell, point.dilation_rate)


def context_of(
    attention: np.ndarray, kind: str, cell: tuple[int, int], dilation_rate: int = 2
) -> Context:
    """Returns what one cell of an attention map attends to.

    Args:
        attention: float [h, w, K*K], the attention of one image.
        kind: `"GAP"`, `"LAP"` or `"AC"`.
        cell: (row, column) on the map.
        dilation_rate: distance of neighbouring positions in the local window (LAP and
            AC), in cells of the map.
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
    """A network with its attention maps as outputs.

    Rebuilds the network with `return_attention=True` and copies the weights.

    Args:
        model: a loaded network.

    Attributes:
        points: {attach point key: `AttachPoint`} of the attentive modules, coarse to
            fine: decoder stages of a U-Net, branches of a DeepLab.
        task: task of the network.
        image_size: side of the input in pixels.
        finds_objects: whether the task detects objects.

    Raises:
        PicanetError: if the network has no attentive module.

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
                f"The variant {model.network.variant} has no attention to show: none "
                f"of its modules is {', '.join(ATTENTIVE)}"
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
        # Without the logits, so that nothing beyond the finest module is computed.
        self._attention = _compile(keras.Model(network.input, attention))

    @property
    def labels(self) -> list[str]:
        """Labels of the attentive modules, such as "D6 GAP"."""
        return [f"{point.label} {point.kind}" for point in self.points.values()]

    def predict(self, image: Source) -> AttentionMaps:
        """Runs the network on one image; see `KerasModel.predict` for its types."""
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
            # Not in the padding, which is below and to the right.
            self.task.default_query_pixels(
                foreground[: image.shape[0], : image.shape[1]], result
            ),
            self.task.box_centers(result, size),
        )

    def frame(self, image: np.ndarray) -> np.ndarray:
        """Returns the area covered by the maps, uint8 [H, W, 3]; see `Model.frame`."""
        return self._model.frame(image)

    def attention(self, images) -> dict[int, np.ndarray]:
        """Returns the attention of a batch.

        Args:
            images: float32 [N, S, S, 3], RGB 0..255, at the network's input size.

        Returns:
            {attach point key: float32 [N, h, w, K*K]}.
        """
        outputs = self._attention(images)
        return {key: outputs[f"attention{key}"].numpy() for key in self.points}


def _features_around(network: Network, point: AttachPoint) -> dict:
    """Returns F_i and F_att, the input and the output of a context module."""
    attended = network.get_layer(point.layer).output
    return {
        "features": network.get_layer(point.input_layer).output,
        # With return_attention, a module has two outputs.
        "attended": attended[0] if isinstance(attended, (list, tuple)) else attended,
    }


def _compile(model: keras.Model):
    return tf.function(
        lambda images: model(images, training=False),
        input_signature=[tf.TensorSpec([None, *model.input.shape[1:]], tf.float32)],
    )
