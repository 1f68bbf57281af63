"""The base classes of a task: `Task`, and `Validation` for scoring during training.

A task is a package with a `TaskSpec` (the TensorFlow-free half) and a `Task`;
`tasks.registry` finds them by name. Shared code (training, prediction, evaluation,
export) uses only these interfaces and never branches on a task's name. This module does
not import TensorFlow.
"""

from __future__ import annotations

import abc
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from picanet_tf.core.errors import PicanetError
from picanet_tf.drawing.pixels import Pixel, default_query_pixels
from picanet_tf.tasks.serving_spec import ServingSpec
from picanet_tf.tasks.spec import TaskSpec

if TYPE_CHECKING:
    import keras

    from picanet_tf.layers import LSTMOptions
    from picanet_tf.models.base import Network, NetworkConfig
    from picanet_tf.models.context_modules import AttachPoint


class Validation(abc.ABC):
    """Accumulates validation batches during training and scores them.

    Attributes:
        best: name of the score that selects the best checkpoint; higher is better.
        without_object_rule: how images without an object are scored, for the log.
        images: number of images so far.
        without_object: number of those that have no object.
    """

    best: ClassVar[str]
    without_object_rule: ClassVar[str] = "they count like all others"
    images: int = 0
    without_object: int = 0

    @abc.abstractmethod
    def update(self, outputs: dict[str, np.ndarray], truth: np.ndarray) -> None:
        """Adds a batch of network outputs and its ground truth."""

    @abc.abstractmethod
    def result(self) -> dict[str, float]:
        """Returns {name: score} over all batches so far; NaN if undefined."""

    def count(self, has_object: Iterable[bool]) -> None:
        """Counts the images of a batch, by whether each has an object."""
        has_object = list(has_object)
        self.images += len(has_object)
        self.without_object += len(has_object) - sum(map(bool, has_object))

    @classmethod
    def criterion(cls, scores: Mapping[str, float]) -> tuple[str, float]:
        """Returns the score that selects the best checkpoint: its name and a value.

        Args:
            scores: a `result`.

        Returns:
            The value is higher if the network is better, and NaN if the scores cannot
            tell.
        """
        return cls.best, scores[cls.best]


class Task(abc.ABC):
    """A task: how its networks are built, trained, used for prediction and served.

    Attributes:
        spec: the TensorFlow-free half of the task.
        serving: the outputs of an exported network.
        network_name: prefix of a model's name; the variant follows.
        output_shape: symbolic shape of `logits`, such as ("N", "h", "w", 1).
        foreground_title: title of the `foreground` map in figures.
        finds_objects: whether `box_centers` can return any objects.
        no_object_advice: what to check if no ground truth shows an object.
    """

    spec: ClassVar[TaskSpec]
    serving: ClassVar[ServingSpec]
    network_name: ClassVar[str]
    output_shape: ClassVar[tuple]
    foreground_title: ClassVar[str] = "foreground"
    finds_objects: ClassVar[bool] = False
    no_object_advice: ClassVar[str] = "Check the ground truth"

    # Networks

    @abc.abstractmethod
    def build_outputs(self, image, config: NetworkConfig) -> dict:
        """Builds the functional graph of a variant.

        Args:
            image: Keras tensor, float32 [N, S, S, 3], RGB 0..255.
            config: variant, width and all other settings.

        Returns:
            {output name: Keras tensor}.
        """

    def build_model(
        self,
        variant: str | None = None,
        image_size: int | None = None,
        weights: str | None = None,
        width: float = 1.0,
        *,
        classes: int | None = None,
        dropout: float | None = None,
        seed: int | None = None,
        return_attention: bool = False,
        lstm_options: LSTMOptions | Mapping | None = None,
        dtype: str | None = None,
    ) -> Network:
        """Builds a network.

        Args:
            variant: which context module is attached where, see `spec.parse_variant`.
                Defaults to the preset's variant, or to the best one in the paper.
            image_size: side of the square input in pixels. Defaults to the preset's
                size, or to the paper's. A network with GAP can only be resized to sizes
                whose attention grid has the same number of positions.
            weights: name of a preset (see `picanet_tf.list_presets`) for the whole
                network; `"imagenet"`, `"hed"` or a path (see
                `backbones.vgg16_weights`) for the encoder only; None for random
                initialization.
            width: factor on all channel counts. 1.0 is the paper's network; smaller
                values are for tests.
            classes: number of classes, for tasks that have classes. Defaults to the 21
                of VOC.
            dropout: dropout rate. Defaults to the task's.
            seed: seed of the dropout layers.
            return_attention: also output the attention of every attentive module, as
                `attention<attach point>`, float32 [N, h, w, K*K].
            lstm_options: options of ReNet's LSTMs, see `layers.LSTMOptions`.
            dtype: dtype policy of the layers, such as `"mixed_bfloat16"`. Defaults to
                the global policy.

        Returns:
            A functional model from `image`, float32 [N, S, S, 3], RGB 0..255, to the
            dict of outputs that the task's `build_outputs` documents.

        Raises:
            PicanetError: if the variant or image size is invalid, or if the preset
                belongs to another variant, width or task.
        """
        from picanet_tf.models.base import build_network

        return build_network(
            self,
            weights,
            variant=variant,
            image_size=image_size,
            width=width,
            classes=classes,
            dropout=dropout,
            seed=seed,
            return_attention=return_attention,
            lstm_options=lstm_options,
            dtype=dtype,
        )

    @abc.abstractmethod
    def attach_points(self, variant: str) -> dict[int, AttachPoint]:
        """Returns {key: location of its context module}, coarse to fine."""

    # Training

    @abc.abstractmethod
    def encode_targets(self, truth, outputs: Mapping, image_size: int) -> dict:
        """Encodes the ground truth as {output name: target}.

        Args:
            truth: a batch of ground truth, as read for `spec.record_kind`.
            outputs: {name: tensor or Keras tensor}, used for their names and shapes.
            image_size: side of the network's input, in pixels.
        """

    def has_object(self, targets: Mapping):
        """Returns whether any image of a batch has an object.

        Args:
            targets: result of `encode_targets`.

        Returns:
            A scalar bool or bool tensor; True for tasks without objects.
        """
        return True

    @abc.abstractmethod
    def losses(self, outputs: Collection[str]) -> dict[str, keras.losses.Loss]:
        """Returns {output name: loss} for the given outputs."""

    @abc.abstractmethod
    def loss_weights(
        self, outputs: Collection[str], attention_weight: float = 0.0
    ) -> dict[str, float]:
        """Returns {output name: loss weight} for the given outputs.

        Args:
            outputs: names of the outputs.
            attention_weight: weight of the global attention loss, if the task has one.
        """

    @abc.abstractmethod
    def validation(self, image_size: int) -> Validation:
        """Returns a new `Validation` for networks with this input size."""

    @abc.abstractmethod
    def panel(
        self, image: np.ndarray, truth: np.ndarray, outputs: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Draws image, ground truth and prediction side by side, for TensorBoard.

        Args:
            image: float [S, S, 3], RGB 0..255.
            truth: ground truth of the image, as read from the data set.
            outputs: the network's outputs for the image, without the batch axis.

        Returns:
            uint8 [S, 3 S, 3].
        """

    # Prediction

    @abc.abstractmethod
    def logits(self, outputs: Mapping):
        """Returns the output to predict from, combining several if necessary.

        Args:
            outputs: {name: Keras tensor or eager tensor}.

        Raises:
            KeyError: if the required output is missing.
        """

    def test_image_size(self, variant: str, image_size: int) -> int:
        """Returns the input side for prediction, given the one used in training."""
        return image_size

    def resize(self, image, side: int):
        """Resizes as `spec.resize`, in TensorFlow: [H, W, 3] -> [side, side, 3]."""
        import tensorflow as tf

        return tf.image.resize(image, [side, side], method="bilinear")

    @abc.abstractmethod
    def activate(self, logits, side: int):
        """Converts a batch of `logits` to the input of `spec.postprocess`."""

    @abc.abstractmethod
    def foreground(self, logits, side: int):
        """Returns the foreground probability map, float32 [N, h, w, 1] in 0..1."""

    def default_query_pixels(self, foreground: np.ndarray, result) -> dict[str, Pixel]:
        """Returns the default query pixels for attention maps, {label: pixel}.

        Args:
            foreground: float [H, W], at the image's size.
            result: result of `spec.postprocess`.
        """
        return default_query_pixels(foreground)

    def measure_attention(self, model, batches) -> tuple[dict, str]:
        """Measures on a data set which regions the attention falls on.

        Args:
            model: an `inference.attention.AttentionModel`.
            batches: iterable of (images, ground truth), as read from the data set.

        Returns:
            ({name: result}, lines to print).

        Raises:
            PicanetError: if the task defines no such measure, or the network has no
                attention of the required kind.
        """
        raise PicanetError(
            f"The attention of {self.spec.name} networks cannot be measured: choose a "
            "network of another task, or omit the data set"
        )

    def box_centers(self, result, size: tuple[int, int]) -> dict[str, Pixel]:
        """Returns {label: centre pixel} of the detected objects, by descending score.

        Args:
            result: result of `spec.postprocess`.
            size: (height, width) of the image.
        """
        return {}
