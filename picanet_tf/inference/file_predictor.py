"""Predicts files with a loaded model; one that fails does not stop the others."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from absl import logging
from PIL import Image
from tqdm import tqdm

from picanet_tf.core.cli import in_flags
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import DiskFullError
from picanet_tf.core.images import ImageError, read_image
from picanet_tf.core.inputs import Input
from picanet_tf.core.pictures import PictureFormatError, save_picture
from picanet_tf.drawing.ffmpeg import INSTALL
from picanet_tf.drawing.videos import VideoError
from picanet_tf.inference.base import Model
from picanet_tf.inference.options import PredictionReport, PredictOptions
from picanet_tf.inference.pipeline import predict_jobs
from picanet_tf.inference.results import check_name_length
from picanet_tf.inference.videos import incomplete_path, predict_video

# The next file would fail in the same way.
_FATAL = (DiskFullError, PictureFormatError)


class FilePredictor:
    """Predicts image and video files and writes the results.

    Args:
        model: the model.
        options: options.
        report: report to add each file to.

    Attributes:
        has_other_failures: whether a file failed for another reason than being
            unreadable.
    """

    def __init__(self, model: Model, options: PredictOptions, report: PredictionReport):
        self.has_other_failures = False
        self._model = model
        self._options = options
        self._report = report
        self._form = options.photo_form(model.spec)
        self._collected: dict[str, object] = {}

    def run(
        self,
        pairs: Sequence[tuple[Input, Path]],
        stops: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[Input, Path, PicanetError | None]]:
        """Predicts files; yields each when it is done, images before videos.

        Errors are printed, as one line each.

        Args:
            pairs: inputs and their output paths.
            stops: no further images are begun once it returns True.

        Yields:
            (input, output path, error or None).

        Raises:
            PicanetError: if the disk is full, or the file format cannot hold the
                pictures.
        """
        images = (pair for pair in pairs if not pair[0].is_video)
        batch_size = self._options.batch_size if self._model.takes_batches else 1
        jobs = predict_jobs(
            self._model,
            itertools.takewhile(lambda _: not stops(), images),
            self._read,
            self._write,
            fatal=_FATAL,
            batch_size=batch_size,
        )
        for (item, output), error in jobs:
            yield self._record(item, output, error)
        for item, output in pairs:
            if item.is_video:
                yield self._record(item, output, self._predict_video(item, output))

    def collect(self, pairs: Sequence[tuple[Input, Path]]) -> dict[str, str]:
        """Returns the shared files of a collected format, as {file name: text}."""
        names = (self._name(output) for _, output in pairs)
        in_order = {n: self._collected[n] for n in names if n in self._collected}
        return self._model.spec.collect(self._form, in_order)

    def _record(
        self, item: Input, output: Path, error: Exception | None
    ) -> tuple[Input, Path, PicanetError | None]:
        """Adds a file to the report, and prints its error."""
        if error is None:
            self._report.written.append(output)
            return item, output, None
        unreadable = isinstance(error, ImageError | VideoError)
        if not isinstance(error, PicanetError):
            logging.debug("%s", item.path, exc_info=error)
            text = " ".join(f"{type(error).__name__}: {error}".split())
            error = PicanetError(f"{item.path}: unexpected {text}")
        self._report.failed.append(error)
        self.has_other_failures |= not unreadable
        what = "unreadable" if unreadable else "failed"
        tqdm.write(f"{what}: {in_flags(str(error))}", file=sys.stderr)
        return item, output, error

    def _read(self, pair: tuple[Input, Path]) -> np.ndarray:
        check_name_length(*pair, beside=self._options.output is None)
        return read_image(
            pair[0].path, max_pixels=self._options.max_pixels, keep_alpha=True
        )

    def _write(self, pair: tuple[Input, Path], image: np.ndarray, result) -> None:
        if self._options.is_collected:
            self._collected[self._name(pair[1])] = result
        else:
            try:
                picture = self._draw(self._form, image, result)
            except PicanetError as error:  # Such as no object to crop to.
                raise PicanetError(f"{pair[0].path}: {error}") from error
            save_picture(pair[1], picture, self._options.quality)

    def _name(self, output: Path) -> str:
        return str(output.relative_to(self._options.output).with_suffix(""))

    def _draw(self, form: str, image: np.ndarray, result) -> Image.Image:
        options = self._options
        return self._model.render(
            form, image, result, options.threshold, options.cutout
        )

    def _predict_video(self, item: Input, output: Path) -> Exception | None:
        form = self._options.video_form(self._model.spec)
        video_format = self._options.resolve_video_format(form)
        if video_format == "frames" and self._options.video_format is None:
            logging.warning(
                "%s will be a folder of frames. For a video, install ffmpeg: %s",
                output,
                INSTALL,
            )
        try:
            beside = self._options.output is None
            check_name_length(item, incomplete_path(output), beside=beside)
            predict_video(
                self._model,
                item.path,
                output,
                draw=lambda frame, result: self._draw(form, frame, result),
                video_format=video_format,
                batch_size=self._options.batch_size,
            )
        except _FATAL:
            raise
        except Exception as error:
            return error
        return None
