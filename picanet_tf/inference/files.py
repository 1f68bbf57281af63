"""Predicts image and video files. Imports no TensorFlow itself."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from absl import logging
from PIL import Image
from tqdm import tqdm

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import replacing, write_text
from picanet_tf.core.images import MAX_PIXELS, ImageError, read_image
from picanet_tf.core.inputs import Input, find_inputs
from picanet_tf.core.path_checks import check_readable
from picanet_tf.core.resizing import save_image
from picanet_tf.inference.base import Model
from picanet_tf.inference.loading import load_model
from picanet_tf.inference.locate import locate
from picanet_tf.inference.pipeline import predict_jobs
from picanet_tf.inference.results import (
    check_beside,
    check_output,
    outputs_of,
    without_results,
)
from picanet_tf.tasks.registry import get_spec, task_names

CUTOUT = "cutout"


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Options of `predict`.

    Attributes:
        output: folder for the results; None: next to each input.
        form: output format, one of the task's; None: `cutout` without `output`, else
            the task's default format.
        threshold: 0..1; minimum saliency for `mask`, minimum score for `boxes`.
        batch_size: images per network call, for engines that benefit from batching.
        max_pixels: largest width x height accepted.
        resume: skip inputs whose result already exists.
        model, weights: see `inference.locate`.
        engine, threads: see `inference.load_model`.

    Raises:
        PicanetError: if an option is out of range or two options conflict.
    """

    output: str | None = None
    form: str | None = None
    threshold: float = 0.5
    batch_size: int = 4
    max_pixels: int = MAX_PIXELS
    resume: bool = False
    model: str | None = None
    weights: str | None = None
    engine: str | None = None
    threads: int | None = None

    def __post_init__(self):
        if not 0 <= self.threshold <= 1:  # also rejects NaN
            raise PicanetError(
                f"`threshold` must be 0 to 1. Received: threshold={self.threshold}"
            )
        if self.output == "" or self.is_collected and not self.output:
            raise PicanetError("`output` is missing: give a folder for the results")
        if self.is_collected and self.resume:
            raise PicanetError(f"`format` {self.form} cannot be combined with `resume`")

    @property
    def is_collected(self) -> bool:
        """Whether the results of all images are written to shared files."""
        return self.form in collected_formats()

    def load(self) -> tuple[Model, PredictOptions]:
        """Loads the model; returns it and the options with `form` resolved."""
        found = locate(self.model, self.weights)
        model = load_model(found, engine=self.engine, threads=self.threads)
        formats = (*model.spec.formats, *model.spec.collected_formats)
        form = self.form
        if form is None:
            form = CUTOUT if not self.output and CUTOUT in formats else formats[0]
        if form not in formats:
            raise PicanetError(
                f"`format` must be one of {', '.join(formats)} for {found.name}. "
                f"Received: {form}"
            )
        return model, dataclasses.replace(self, form=form)


@dataclass(frozen=True)
class PredictionReport:
    """Outcome of `predict`.

    Attributes:
        written: result files, in the order of the inputs.
        failed: an error for each input that could not be read.
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


def predict(inputs: str | Path | Sequence[str], **options) -> PredictionReport:
    """Predicts images and videos, and writes the results.

    Unreadable inputs are reported and skipped.

    Args:
        inputs: files, folders or patterns, as for `picanet predict`.
        **options: fields of `PredictOptions`; `format` is an alias of `form`.

    Raises:
        PicanetError: if an input does not exist, the model cannot be loaded or a
            result cannot be written.

    Example:
        >>> predict("photos/", output="out/", format="mask").written
        [PosixPath('out/cat.png'), PosixPath('out/dog.png')]
    """
    words = [str(inputs)] if isinstance(inputs, str | Path) else list(map(str, inputs))
    if "format" in options:
        options["form"] = options.pop("format")
    return predict_files(words, PredictOptions(**options))


def predict_files(words: Sequence[str], options: PredictOptions) -> PredictionReport:
    """`predict` with the words of a command line and validated options."""
    if not words:
        raise PicanetError(
            "`input` is missing: give an image, a folder, a pattern, or -"
        )
    found, passed_over = without_results(find_inputs(check_readable(words)))
    if options.output:
        check_output(options.output)
    else:
        check_beside(found)
    videos = any(item.is_video for item in found)
    if videos and (options.is_collected or options.form == CUTOUT):
        raise PicanetError(f"`format` {options.form} is not available for videos")
    model, form = None, options.form
    if videos or not (options.output or form):
        # The names of the results then depend on the network's task.
        model, options = options.load()
        form = form or options.form
    pairs = outputs_of(
        found,
        options.output,
        form=form or "map",
        task=model.spec.name if model else "",
        overwrite=options.resume,
    )
    todo = [pair for pair in pairs if not (options.resume and pair[1].exists())]
    if len(todo) < len(pairs):
        logging.info("%d of %d exist already", len(pairs) - len(todo), len(pairs))
    result = PredictionReport(skipped=len(pairs) - len(todo))
    if todo:
        if model is None:
            model, options = options.load()
        _FilePredictor(model, options, result).run(todo)
    if passed_over:
        logging.info("Skipped %d results of earlier runs", passed_over)
    return result


class _FilePredictor:
    def __init__(self, model: Model, options: PredictOptions, result: PredictionReport):
        self._model = model
        self._options = options
        self._result = result
        self._collected: dict[str, object] = {}

    def run(self, pairs: list[tuple[Input, Path]]) -> None:
        images = [pair for pair in pairs if not pair[0].is_video]
        options, result = self._options, self._result
        batch_size = options.batch_size if self._model.takes_batches else 1
        with tqdm(total=len(pairs), unit="file", disable=len(pairs) == 1) as bar:
            for pair, error in predict_jobs(
                self._model,
                images,
                self._read,
                self._write,
                expected=ImageError,
                batch_size=batch_size,
            ):
                self._tell(pair[1], error)
                bar.update()
            for item, output in pairs:
                if item.is_video:
                    try:
                        self._predict_video(item.path, output)
                        self._tell(output, None)
                    except PicanetError as error:
                        self._tell(output, error)
                    bar.update()
        if options.is_collected:
            self._write_collected(images)
        where = "beside the inputs"
        if options.output or len(pairs) == 1:
            where = f"to {options.output or pairs[0][1]}"
        if result.written:
            logging.info("%d written %s", len(result.written), where)
        if result.failed:
            logging.error("%d of %d could not be read", len(result.failed), len(pairs))

    def _tell(self, output: Path, error: Exception | None) -> None:
        if error is None:
            self._result.written.append(output)
        else:
            tqdm.write(f"unreadable: {error}", file=sys.stderr)
            self._result.failed.append(error)

    def _read(self, pair: tuple[Input, Path]) -> np.ndarray:
        return read_image(pair[0].path, max_pixels=self._options.max_pixels)

    def _write(self, pair: tuple[Input, Path], image: np.ndarray, result) -> None:
        if self._options.is_collected:
            self._collected[self._name(pair[1])] = result
        else:
            save_image(pair[1], self._draw(image, result, self._options.form))

    def _name(self, output: Path) -> str:
        return str(output.relative_to(self._options.output).with_suffix(""))

    def _draw(self, image: np.ndarray, result, form: str) -> Image.Image:
        return self._model.render(form, image, result, self._options.threshold)

    def _write_collected(self, images: list[tuple[Input, Path]]) -> None:
        names = (self._name(output) for _, output in images)
        in_order = {n: self._collected[n] for n in names if n in self._collected}
        files = self._model.spec.collect(self._options.form, in_order)
        for name, text in files.items():
            write_text(Path(self._options.output) / name, text)

    def _predict_video(self, path: Path, output: Path) -> None:
        from picanet_tf.drawing.videos import VideoError, VideoReader, video_writer

        reader, options = VideoReader(path), self._options
        # `cutout` is the default without `output`, but videos have no alpha channel.
        form = "map" if options.form == CUTOUT else options.form
        frames = ((None, frame) for frame in reader)
        output.parent.mkdir(parents=True, exist_ok=True)
        with (
            replacing(output) as temporary,
            video_writer(temporary, reader.frames_per_second) as add,
            tqdm(total=reader.count or None, unit="frame", desc=path.name) as bar,
        ):
            predicted = self._model.predict_named(frames, options.batch_size)
            for _, frame, result in predicted:
                picture = self._draw(frame, result, form)
                colours = picture.convert("RGB") if picture.mode == "P" else picture
                add(np.asarray(colours))
                bar.update()
        if reader.missing:
            raise VideoError(
                f"{path}: {reader.missing:,} of its {reader.count:,} frames; the "
                f"others are in {output}"
            )
