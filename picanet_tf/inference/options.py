"""Options and report of `predict`. Imports no TensorFlow itself."""

from __future__ import annotations

import numbers
from dataclasses import dataclass, field
from pathlib import Path

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import MAX_PIXELS
from picanet_tf.core.pictures import OUTPUT_FORMATS, transparency_error
from picanet_tf.drawing.cutouts import DEFAULT_CUTOUT, CutoutOptions
from picanet_tf.drawing.ffmpeg import VIDEO_FORMATS, find_ffmpeg, require_ffmpeg
from picanet_tf.inference.base import Model
from picanet_tf.inference.loading import load_model
from picanet_tf.inference.locate import locate
from picanet_tf.tasks.registry import get_spec, task_names
from picanet_tf.tasks.spec import TaskSpec

CUTOUT = "cutout"


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Options of `predict`.

    Attributes:
        output: folder for the results; None: next to each input.
        form: output format, one of the task's; None: `cutout` for photos without
            `output` or with an option for cut-outs, else the task's default format.
        threshold: 0..1; minimum saliency for `mask`, minimum score for `boxes`.
        cutout: options of cut-outs.
        output_format: file format of pictures, a key of `OUTPUT_FORMATS`.
        quality: 1..100 for jpg and webp; None: 90.
        video_format: file format of cut-out videos, one of `VIDEO_FORMATS`; None: webm
            if there is an ffmpeg, else frames.
        batch_size: images per network call, for engines that benefit from batching.
        max_pixels: largest width x height accepted.
        resume: skip inputs whose result already exists.
        model, weights: see `inference.locate`.
        engine, threads, precision: see `inference.load_model`.

    Raises:
        PicanetError: if an option is out of range or two options conflict.
    """

    output: str | None = None
    form: str | None = None
    threshold: float = 0.5
    cutout: CutoutOptions = DEFAULT_CUTOUT
    output_format: str = "png"
    quality: int | None = None
    video_format: str | None = None
    batch_size: int = 4
    max_pixels: int = MAX_PIXELS
    resume: bool = False
    model: str | None = None
    weights: str | None = None
    engine: str | None = None
    threads: int | None = None
    precision: str = "auto"

    def __post_init__(self):
        number = isinstance(self.threshold, numbers.Real)
        if not number or not 0 <= self.threshold <= 1:  # or NaN
            raise PicanetError(
                f"`threshold` must be 0 to 1. Received: threshold={self.threshold!r}"
            )
        for name in ("batch_size", "max_pixels"):
            value = getattr(self, name)
            if not isinstance(value, numbers.Integral) or value < 1:
                raise PicanetError(
                    f"`{name}` must be a whole number, at least 1. Received: "
                    f"{name}={value!r}"
                )
        if self.output == "" or self.is_collected and not self.output:
            raise PicanetError("`output` is missing: give a folder for the results")
        if self.is_collected and self.resume:
            raise PicanetError(f"`format` {self.form} cannot be combined with `resume`")
        self._check_pictures()
        if self.form == CUTOUT:
            self._check_transparency()
        elif self.form is not None and self._only_for_cutouts:
            raise PicanetError(
                f"`{self._only_for_cutouts[0]}` goes with `format` cutout. Received: "
                f"format={self.form}"
            )
        if self.video_format is not None:
            self._check_video_format()

    def _check_pictures(self) -> None:
        if self.output_format not in OUTPUT_FORMATS:
            raise PicanetError(
                f"`output_format` must be one of {', '.join(OUTPUT_FORMATS)}. "
                f"Received: output_format={self.output_format}"
            )
        if self.is_collected and self.output_format != "png":
            raise PicanetError(
                f"`output_format` cannot be combined with `format` {self.form}"
            )
        if self.quality is None:
            return
        if not OUTPUT_FORMATS[self.output_format].lossy:
            raise PicanetError(
                "`quality` goes with `output_format` jpg or webp only. Received: "
                f"output_format={self.output_format}"
            )
        whole = isinstance(self.quality, numbers.Integral)
        if not whole or not 1 <= self.quality <= 100:
            raise PicanetError(
                f"`quality` must be 1 to 100. Received: quality={self.quality!r}"
            )

    def _check_transparency(self) -> None:
        if not (
            self.cutout.is_opaque or OUTPUT_FORMATS[self.output_format].transparent
        ):
            raise transparency_error(self.output_format)

    def _check_video_format(self) -> None:
        if self.video_format not in VIDEO_FORMATS:
            raise PicanetError(
                f"`video_format` must be one of {', '.join(VIDEO_FORMATS)}. "
                f"Received: video_format={self.video_format}"
            )
        if not self._wants_cutout:
            raise PicanetError("`video_format` goes with `format` cutout only")
        if self.video_format != "frames":
            require_ffmpeg()

    @property
    def is_collected(self) -> bool:
        """Whether the results of all images are written to shared files."""
        return self.form in collected_formats()

    @property
    def extension(self) -> str:
        """File name extension of pictures."""
        return OUTPUT_FORMATS[self.output_format].extension

    def photo_form(self, spec: TaskSpec) -> str:
        """Returns the format for photos: `form`, or the default."""
        if self._wants_cutout or (
            self.form is None and not self.output and CUTOUT in spec.formats
        ):
            self._check_transparency()
            return CUTOUT
        return self.form or spec.formats[0]

    def video_form(self, spec: TaskSpec) -> str:
        """Returns the format for videos; a cut-out only if asked for."""
        return CUTOUT if self._wants_cutout else self.form or spec.formats[0]

    def resolve_video_format(self, form: str) -> str:
        """Returns the file format for videos: mp4, or one of `VIDEO_FORMATS`."""
        if form != CUTOUT or self.cutout.is_opaque and not self.video_format:
            return "mp4"
        return self.video_format or ("webm" if find_ffmpeg() else "frames")

    @property
    def _only_for_cutouts(self) -> list[str]:
        return self.cutout.only_for_cutouts()

    @property
    def _wants_cutout(self) -> bool:
        """Whether cut-outs are asked for, by the format or an option."""
        return self.form == CUTOUT or self.form is None and bool(self._only_for_cutouts)

    def load(self) -> Model:
        """Loads the model.

        Raises:
            PicanetError: if it cannot be loaded, or does not have the format.
        """
        found = locate(self.model, self.weights)
        names = ("engine", "threads", "precision")
        model = load_model(found, **{name: getattr(self, name) for name in names})
        formats = (*model.spec.formats, *model.spec.collected_formats)
        form = CUTOUT if self._wants_cutout else self.form
        if form is not None and form not in formats:
            raise PicanetError(
                f"`format` must be one of {', '.join(formats)} for {found.name}. "
                f"Received: {form}"
            )
        if CUTOUT not in formats and self.cutout != DEFAULT_CUTOUT:
            raise PicanetError(
                "`edges`, `largest_only` and `invert` are for saliency networks; "
                f"{found.name} is a {model.spec.name} network"
            )
        return model


@dataclass(frozen=True)
class PredictionReport:
    """Outcome of `predict`.

    Attributes:
        written: result files, in the order of the inputs, but those of videos last.
        failed: an error for each input without a result.
        skipped: number of inputs skipped because their result existed.
    """

    written: list[Path] = field(default_factory=list)
    failed: list[PicanetError] = field(default_factory=list)
    skipped: int = 0


def picture_formats() -> tuple[str, ...]:
    """Returns the image formats of all tasks, without duplicates."""
    specs = map(get_spec, task_names())
    return tuple(dict.fromkeys(form for spec in specs for form in spec.formats))


def collected_formats() -> tuple[str, ...]:
    """Returns the formats that collect the results of all images in shared files."""
    specs = map(get_spec, task_names())
    return tuple(dict.fromkeys(f for spec in specs for f in spec.collected_formats))
