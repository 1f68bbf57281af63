"""What a network looks at: its attention as outputs. Sec. 3, Fig. 4 and 5."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from picanet_tf.context import ATTENTIVE
from picanet_tf.errors import PicanetError
from picanet_tf.inference.keras_engine import Predictor
from picanet_tf.inference.sources import Source, to_array
from picanet_tf.networks import rebuilt
from picanet_tf.pixels import Pixel
from picanet_tf.seams import AttachPoint


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
        image = to_array(image)
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
