"""`TaskSpec`, the half of a task that does not need TensorFlow."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from picanet_tf.core.resizing import resize
from picanet_tf.drawing.cutouts import DEFAULT_CUTOUT, CutoutOptions

if TYPE_CHECKING:
    from PIL import Image


class TaskSpec(abc.ABC):
    """The TensorFlow-free half of a task.

    Holds the task's variants, defaults and flag values, and the NumPy half of
    prediction: preparing a photo as the network's input, bringing the result to the
    photo's size, and drawing it.

    Attributes:
        name: name of the task in `--task`.
        task_class, scoring_class: `"module:class"` of its `Task` and of its
            `evaluation.scoring.Scoring`.
        record_kind: kind of data set it trains on, see `data_pipeline.kinds`.
        variants: the variants reported in the paper.
        default_variant: variant that is built by default.
        dropout: default dropout rate.
        recipe_source: origin of the training defaults, for `--help`.
        recipes: {name: what it overrides of the training defaults}; "paper" is first.
        rate_drops: fractions of the training after which the learning rates are divided
            by ten.
        formats: image formats of `render`; the first is the default.
        collected_formats: formats of files with the results of all photos.
    """

    name: ClassVar[str]
    task_class: ClassVar[str]
    scoring_class: ClassVar[str]
    record_kind: ClassVar[str]
    variants: ClassVar[tuple[str, ...]]
    default_variant: ClassVar[str]
    dropout: ClassVar[float] = 0.5
    recipe_source: ClassVar[str] = "Sec. 5.3"
    recipes: ClassVar[Mapping[str, Mapping]] = {"paper": {}}
    rate_drops: ClassVar[tuple[Fraction, ...]] = (Fraction(1, 2), Fraction(3, 4))
    formats: ClassVar[tuple[str, ...]]
    collected_formats: ClassVar[tuple[str, ...]] = ()

    # Networks and their training

    @abc.abstractmethod
    def parse_variant(self, name: str) -> dict[int, str]:
        """Parses a variant name to {attach point: kind of context module}.

        Raises:
            PicanetError: if the name is invalid; the message gives the part and the
                rule.
        """

    @abc.abstractmethod
    def check_image_size(self, variant: str, image_size: int) -> None:
        """Raises `PicanetError` for an input size that the variant does not support."""

    @abc.abstractmethod
    def default_image_size(self, variant: str) -> int:
        """Returns the side of the input used in the paper's training, in pixels."""

    def training_defaults(self, variant: str | None = None) -> Mapping:
        """Returns the task's overrides of the defaults of `Experiment`.

        Args:
            variant: variant to train; None for the default variant.
        """
        variant = variant or self.default_variant
        return {
            "variant": variant,
            "image_size": self.default_image_size(variant),
            "dropout": self.dropout,
        }

    def has_attention_loss(self, variant: str) -> bool:
        """Whether the paper's L_GA supervises attention of the variant's network."""
        return False

    @abc.abstractmethod
    def memory(self, variant: str) -> tuple[float, float]:
        """Returns (number of weights, training memory of a 224 x 224 image in bytes).

        Both are for full width on a CPU; the estimate of `training.machine` uses them.
        """

    # A photo in, a result out

    def frame(self, image: np.ndarray, side: int) -> np.ndarray:
        """Returns the frame that the network's maps cover, uint8 [H, W, 3].

        By default this is the image.

        Args:
            image: uint8 [H, W, 3]; placed in the top left corner of the frame.
            side: side of the network's input, in pixels.
        """
        return image

    def resize(self, image: np.ndarray, side: int) -> np.ndarray:
        """Resizes uint8 [H, W, 3] to the network's input, float32 [side, side, 3].

        The default is bilinear and ignores the aspect ratio, like `tf.image.resize`.
        """
        return resize(image, (side, side))

    @abc.abstractmethod
    def postprocess(self, values: np.ndarray, size: tuple[int, int], side: int):
        """Converts the network's output to a result at the photo's size.

        Args:
            values: output of `Task.activate` for one image.
            size: (height, width) of the photo.
            side: side of the network's input, in pixels.
        """

    @abc.abstractmethod
    def render(
        self,
        form: str,
        image: np.ndarray,
        result,
        threshold: float,
        cutout: CutoutOptions = DEFAULT_CUTOUT,
    ) -> Image.Image:
        """Draws a result.

        Args:
            form: one of `formats`.
            image: uint8 [H, W, 3], or [H, W, 4] if the photo has transparency.
            result: result of `postprocess` for the image.
            threshold: threshold in 0..1, for the formats that use one.
            cutout: options of the format `cutout`, for the tasks that have it.
        """

    def collect(self, form: str, results: Mapping[str, object]) -> dict[str, str]:
        """Formats the results of all photos as {file name: text}.

        Args:
            form: one of `collected_formats`.
            results: {name of the photo: result}.
        """
        raise ValueError(
            f"`form` must be one of {self.collected_formats}. Received: form={form!r}"
        )
