"""Photos and videos in files: read, predicted, written. No TensorFlow of its own."""

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
    """How photos are predicted, and what is written.

    Attributes:
        output: folder for the results; None puts each beside its photo.
        form: of the results, a format of the network's task; None: a cut-out beside the
            photo, the task's default format in a folder.
        threshold: 0..1: of a mask, salient from here on; of boxes, their least score.
        batch_size: images that go through the network at once, where it gains by that.
        max_pixels: the largest width x height of a photo.
        resume: pass over what has its result already.
        model, weights: of `inference.locate`.
        engine, threads: of `inference.load_model`.

    Raises:
        PicanetError: an option out of its range, or two that do not go together.
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
        if not 0 <= self.threshold <= 1:  # NaN, too
            raise PicanetError(
                f"`threshold` must be 0 to 1. Received: threshold={self.threshold}"
            )
        if self.output == "" or self.is_collected and not self.output:
            raise PicanetError("`output` is missing: the folder for the results")
        if self.is_collected and self.resume:
            raise PicanetError(f"`format` {self.form}: not with `resume`")

    @property
    def is_collected(self) -> bool:
        """Whether the results of all photos go into files together."""
        return self.form in collected_formats()

    def load(self) -> tuple[Model, PredictOptions]:
        """The model, and the options with a format that it has."""
        found = locate(self.model, self.weights)
        model = load_model(found, engine=self.engine, threads=self.threads)
        formats = (*model.spec.formats, *model.spec.collected_formats)
        form = self.form
        if form is None:
            form = CUTOUT if not self.output and CUTOUT in formats else formats[0]
        if form not in formats:
            raise PicanetError(
                f"`format` {form}: the network of {found.name} has {', '.join(formats)}"
            )
        return model, dataclasses.replace(self, form=form)


@dataclass(frozen=True)
class Predicted:
    """What became of the files.

    Attributes:
        written: results, in the order of the inputs.
        failed: what could not be read, and why.
        skipped: how many had their results already.
    """

    written: list[Path] = field(default_factory=list)
    failed: list[PicanetError] = field(default_factory=list)
    skipped: int = 0


def picture_formats() -> tuple[str, ...]:
    """The formats of pictures that the tasks draw, each once."""
    specs = map(get_spec, task_names())
    return tuple(dict.fromkeys(form for spec in specs for form in spec.formats))


def collected_formats() -> tuple[str, ...]:
    """The formats of files that hold the results of all photos together."""
    specs = map(get_spec, task_names())
    return tuple(dict.fromkeys(f for spec in specs for f in spec.collected_formats))


def predict(inputs: str | Path | Sequence[str], **options) -> Predicted:
    """Predicts photos and videos, and writes the results.

    What cannot be read is reported, and the others go on.

    Args:
        inputs: files, folders or patterns, as of `picanet predict`.
        **options: of `PredictOptions`; `format` may be given for `form`.

    Raises:
        PicanetError: no such input, a model that cannot be loaded, or a result that
            cannot be written.

    Example:
        >>> predict("photos/", output="out/", format="mask").written
        [PosixPath('out/cat.png'), PosixPath('out/dog.png')]
    """
    words = [str(inputs)] if isinstance(inputs, str | Path) else list(map(str, inputs))
    form = options.pop("format", None)
    options = PredictOptions(**{"form": form, **options})
    if not words:
        raise PicanetError("`input` is missing: an image, a folder, a pattern, or -")
    found, passed_over = without_results(find_inputs(check_readable(words)))
    if options.output:
        check_output(options.output)
    else:
        check_beside(found)
    videos = any(item.is_video for item in found)
    if videos and (options.is_collected or options.form == CUTOUT):
        raise PicanetError(
            f"`format` {options.form}: not for videos, take another format"
        )
    model, form = None, options.form
    if videos or not (options.output or form):
        # Where no option says it, the network alone tells what its results are called.
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
    result = Predicted(skipped=len(pairs) - len(todo))
    if todo:
        if model is None:
            model, options = options.load()
        _FilePredictor(model, options, result).run(todo)
    if passed_over:
        logging.info("%d results of earlier calls passed over", passed_over)
    return result


class _FilePredictor:
    def __init__(self, model: Model, options: PredictOptions, result: Predicted):
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
        # Of images the default without a folder, but a video has no alpha.
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
