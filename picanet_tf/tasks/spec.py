"""What can be known of a task before TensorFlow is imported: `TaskSpec`."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from picanet_tf.core.resizing import resize

if TYPE_CHECKING:
    from PIL import Image


class TaskSpec(abc.ABC):
    """What can be asked of a task before TensorFlow is imported.

    Its variants and defaults, what its flags allow, and the NumPy half of prediction:
    how a photo becomes the network's input, what comes out at the photo's own size, and
    how that is drawn.

    Attributes:
        name: what `--task` calls it.
        task_class, scoring_class: `"module:class"` of its `Task` and of its
            `evaluation.scoring.Scoring`.
        record_kind: what a data set must hold, a kind of `data_pipeline.kinds`.
        variants: the networks that the paper reports.
        default_variant: the one that is built unless another is named.
        dropout: default rate of the networks' dropout.
        recipe_source: where the defaults of a training come from, for `--help`.
        rate_drops: fractions of the training after which the learning rates fall to a
            tenth.
        formats: of pictures that `render` draws; the first is the default.
        collected_formats: of files that hold the results of all photos together.
    """

    name: ClassVar[str]
    task_class: ClassVar[str]
    scoring_class: ClassVar[str]
    record_kind: ClassVar[str]
    variants: ClassVar[tuple[str, ...]]
    default_variant: ClassVar[str]
    dropout: ClassVar[float] = 0.5
    recipe_source: ClassVar[str] = "Sec. 5.3"
    rate_drops: ClassVar[tuple[Fraction, ...]] = (Fraction(1, 2), Fraction(3, 4))
    formats: ClassVar[tuple[str, ...]]
    collected_formats: ClassVar[tuple[str, ...]] = ()

    # Networks and their training

    @abc.abstractmethod
    def parse_variant(self, name: str) -> dict[int, str]:
        """{attach point: kind of context module} that a variant's name spells.

        Raises:
            PicanetError: says which part of the name cannot be read, and the rule.
        """

    @abc.abstractmethod
    def check_image_size(self, variant: str, image_size: int) -> None:
        """Raises `PicanetError` for an input size that the variant cannot take."""

    @abc.abstractmethod
    def default_image_size(self, variant: str) -> int:
        """Side of the network's input that the paper trains at, in pixels."""

    def training_defaults(self, variant: str | None = None) -> Mapping:
        """Settings of a `training.experiments.Experiment` that differ from its own.

        Args:
            variant: the one to train; None for the default one.
        """
        variant = variant or self.default_variant
        return {
            "variant": variant,
            "image_size": self.default_image_size(variant),
            "dropout": self.dropout,
        }

    @abc.abstractmethod
    def memory(self, variant: str) -> tuple[float, float]:
        """(number of weights, bytes an image of 224 x 224 pixels takes in training).

        At full width, on a CPU; `training.machine` estimates with it.
        """

    # A photo in, a result out

    def frame(self, image: np.ndarray, side: int) -> np.ndarray:
        """What the network's maps lie over: uint8 [H, W, 3], by default the image.

        Args:
            image: uint8 [H, W, 3], which is the frame's upper left.
            side: of the network's input, in pixels.
        """
        return image

    def resize(self, image: np.ndarray, side: int) -> np.ndarray:
        """uint8 [H, W, 3] -> float32 [side, side, 3], the network's input.

        By default bilinear, the aspect not kept, as `tf.image.resize`.
        """
        return resize(image, (side, side))

    @abc.abstractmethod
    def postprocess(self, values: np.ndarray, size: tuple[int, int], side: int):
        """The result at the photo's own size, of what the network gives for it.

        Args:
            values: what `Task.activate` gives for one image.
            size: (height, width) of the photo.
            side: of the network's input, in pixels.
        """

    @abc.abstractmethod
    def render(
        self, form: str, image: np.ndarray, result, threshold: float
    ) -> Image.Image:
        """Draws a result.

        Args:
            form: one of `formats`.
            image: uint8 [H, W, 3].
            result: what `postprocess` gave for it.
            threshold: 0..1, of the formats that have one.
        """

    def collect(self, form: str, results: Mapping[str, object]) -> dict[str, str]:
        """{file name: text} of the results of all photos, in one of
        `collected_formats`; `results` is {name of the photo: result}."""
        raise ValueError(f"`form` must be one of {self.collected_formats}")
