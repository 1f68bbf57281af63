"""What every task has: a `TaskSpec`, known without TensorFlow, and a `Task`, the rest.

A task is a package with a subclass of each; `tasks.registry` finds them by name. All
shared code (training, prediction, evaluation, export) meets a task as these objects
and never asks for its name. This module imports no TensorFlow itself.
"""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping
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
    """Collects batches while a network trains, and scores them.

    Attributes:
        best: the score by which the best checkpoint is kept; higher is better.
    """

    best: ClassVar[str]

    @abc.abstractmethod
    def update(self, outputs: dict[str, np.ndarray], truth: np.ndarray) -> None:
        """Adds a batch: the network's outputs, and its ground truth."""

    @abc.abstractmethod
    def result(self) -> dict[str, float]:
        """{name: score} of all batches so far."""


class Task(abc.ABC):
    """A task: its networks, what trains them, and how they predict and are served.

    Attributes:
        spec: the TensorFlow-free half.
        serving: what an export gives.
        network_name: in front of the variant, a network's name.
        output_shape: of `logits`, as far as it is known: ("N", "h", "w", 1).
        foreground_title: what pictures call `foreground`.
        finds_objects: whether `box_centers` gives any.
    """

    spec: ClassVar[TaskSpec]
    serving: ClassVar[ServingSpec]
    network_name: ClassVar[str]
    output_shape: ClassVar[tuple]
    foreground_title: ClassVar[str] = "foreground"
    finds_objects: ClassVar[bool] = False

    # Networks

    @abc.abstractmethod
    def build_outputs(self, image, config: NetworkConfig) -> dict:
        """The network as a function: the functional graph of a variant.

        Args:
            image: Keras tensor, float32 [N, S, S, 3], RGB 0..255.
            config: variant, width and all other settings.

        Returns:
            {name: Keras tensor}.
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
            variant: which context module attends where, see `spec.parse_variant`; by
                default the preset's, or the paper's best.
            image_size: side of the square input in pixels; by default the preset's, or
                the paper's. A network with GAP moves only between sizes whose grids
                have as many positions.
            weights: a preset's name (see `picanet_tf.list_presets`), for the whole
                network; or of the encoder alone: `"imagenet"`, `"hed"`, a path (see
                `backbones.vgg16_weights`); or None for a random start.
            width: factor on all channels; 1.0 is the paper's network, less is for
                tests.
            classes: of tasks that have classes: how many; VOC's 21 by default.
            dropout: rate; by default the task's.
            seed: of the dropout.
            return_attention: give the attention of every attentive module as an output,
                `attention<attach point>` float32 [N, h, w, K*K].
            lstm_options: of ReNet's LSTMs, see `layers.LSTMOptions`.
            dtype: policy of the layers, such as `"mixed_bfloat16"`; by default the
                global one.

        Returns:
            A functional model from `image` float32 [N, S, S, 3], RGB 0..255, to a dict
            of outputs, which `build_outputs` of the task describes.

        Raises:
            PicanetError: an unreadable variant, an image size that it cannot take, or a
                preset of another variant, width or task.
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
        """{key: where its context module is}, coarse to fine."""

    # Training

    @abc.abstractmethod
    def encode_targets(self, truth, outputs: Mapping, image_size: int) -> dict:
        """{name: target} of the outputs that have one.

        Args:
            truth: a batch of ground truth, as the reader of `spec.record_kind` gives.
            outputs: {name: tensor or Keras tensor}: which there are, and their shapes.
            image_size: side of the network's input, in pixels.
        """

    @abc.abstractmethod
    def losses(self, outputs: Collection[str]) -> dict[str, keras.losses.Loss]:
        """{name: loss} of the named outputs."""

    @abc.abstractmethod
    def loss_weights(
        self, outputs: Collection[str], attention_weight: float = 0.0
    ) -> dict[str, float]:
        """{name: weight} of the named outputs' losses.

        Args:
            outputs: their names.
            attention_weight: of the global attention loss, where the task has it.
        """

    @abc.abstractmethod
    def validation(self, image_size: int) -> Validation:
        """An empty `Validation` for networks of that input size."""

    @abc.abstractmethod
    def panel(
        self, image: np.ndarray, truth: np.ndarray, outputs: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Image, ground truth and prediction side by side, for TensorBoard.

        Args:
            image: float [S, S, 3], RGB 0..255.
            truth: of this image, as the reader gives it.
            outputs: of this image, without the batch's axis.

        Returns:
            uint8 [S, 3 S, 3].
        """

    # Prediction

    @abc.abstractmethod
    def logits(self, outputs: Mapping):
        """The output to predict from, or what several of them make.

        Args:
            outputs: {name: Keras tensor or real one}.

        Raises:
            KeyError: there is no such output.
        """

    def test_image_size(self, variant: str, image_size: int) -> int:
        """Side of the input to predict at, of a network trained at `image_size`."""
        return image_size

    def resize(self, image, side: int):
        """`spec.resize` as part of a graph: [H, W, 3] -> float32 [side, side, 3]."""
        import tensorflow as tf

        return tf.image.resize(image, [side, side], method="bilinear")

    @abc.abstractmethod
    def activate(self, logits, side: int):
        """What `spec.postprocess` takes, of all images, from `logits`."""

    @abc.abstractmethod
    def foreground(self, logits, side: int):
        """How likely each position is foreground: float32 [N, h, w, 1] in 0..1."""

    def default_query_pixels(self, foreground: np.ndarray, result) -> dict[str, Pixel]:
        """{label: pixel} whose attention is shown when none is chosen.

        Args:
            foreground: float [H, W], of the frame's size.
            result: of `spec.postprocess`.
        """
        return default_query_pixels(foreground)

    def measure_attention(self, model, batches) -> tuple[dict, str]:
        """What the attention falls on, measured on a data set.

        Args:
            model: an `inference.attention.AttentionModel`.
            batches: (images, ground truth), as the reader gives them.

        Returns:
            ({name: result}, lines to print).

        Raises:
            PicanetError: the task has no such measure, or the network no such
                attention.
        """
        raise PicanetError(
            f"The attention of {self.spec.name} networks cannot be measured: name a "
            "network of another task, or leave the data set out"
        )

    def box_centers(self, result, size: tuple[int, int]) -> dict[str, Pixel]:
        """{label: centre pixel} of the objects found, by falling score.

        Args:
            result: of `spec.postprocess`.
            size: (height, width) of the image.
        """
        return {}
