"""Predicts image and video files. Imports no TensorFlow itself."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from absl import logging
from tqdm import tqdm

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import DiskFullError, write_text
from picanet_tf.core.inputs import Input, scan_inputs
from picanet_tf.core.passed_over import describe
from picanet_tf.drawing.cutouts import CutoutOptions
from picanet_tf.inference.base import Model
from picanet_tf.inference.file_predictor import FilePredictor
from picanet_tf.inference.options import PredictionReport, PredictOptions
from picanet_tf.inference.results import (
    Endings,
    check_beside,
    check_output,
    outputs_of,
    without_results,
)


def predict(inputs: str | Path | Sequence[str], **options) -> PredictionReport:
    """Predicts images and videos, and writes the results.

    Inputs that cannot be read, and results that cannot be written, are reported; the
    others are not affected.

    Args:
        inputs: files, folders or patterns, as for `picanet predict`.
        **options: fields of `PredictOptions` and `CutoutOptions`; `format` is an alias
            of `form`.

    Raises:
        PicanetError: if an input does not exist, the model cannot be loaded or the
            disk is full.

    Example:
        >>> predict("photos/", output="out/", format="mask").written
        [PosixPath('out/cat.png'), PosixPath('out/dog.png')]
    """
    words = [str(inputs)] if isinstance(inputs, str | Path) else list(map(str, inputs))
    if "format" in options:
        if "form" in options:
            raise PicanetError("`format` and `form` are the same: give one of them")
        options["form"] = options.pop("format")
    names = {field.name for field in dataclasses.fields(CutoutOptions)} & options.keys()
    if names:
        cutout = options.get("cutout", CutoutOptions())
        changes = {name: options.pop(name) for name in names}
        options["cutout"] = dataclasses.replace(cutout, **changes)
    return predict_files(words, PredictOptions(**options))


def predict_files(words: Sequence[str], options: PredictOptions) -> PredictionReport:
    """Does what `predict` does, for command-line words and validated options."""
    if not words:
        raise PicanetError(
            "`input` is missing: give an image, a folder, a pattern, or -"
        )
    found = without_results(scan_inputs(words, options.output))
    if not found.inputs:
        raise PicanetError(f"`input`: no images. {describe(found.passed_over)}")
    if options.output:
        check_output(options.output)
    else:
        check_beside(found.inputs)
    videos = any(item.is_video for item in found.inputs)
    if all(item.is_video for item in found.inputs):
        _check_no_picture_options(options)
    if options.video_format and not videos:
        raise PicanetError(
            "`video_format` is for videos, and no input is one; in folders they are "
            "passed over, so name them. For pictures give `output_format`"
        )
    if videos and options.is_collected:
        raise PicanetError(f"`format` {options.form} is not available for videos")
    if videos and options.cutout.crop:  # Each frame would have another size.
        raise PicanetError("`crop` is not available for videos")
    model = None
    if videos or not (options.output or options.form):
        # The names of the results then depend on the network's task.
        model = options.load()
    pairs = outputs_of(
        found.inputs,
        options.output,
        endings=Endings.of(options, model),
        pictures=not options.is_collected,
        overwrite=options.resume,
    )
    todo = [pair for pair in pairs if not (options.resume and os.path.exists(pair[1]))]
    if len(todo) < len(pairs):
        logging.info(
            "%d of %d results exist already", len(pairs) - len(todo), len(pairs)
        )
    report = PredictionReport(skipped=len(pairs) - len(todo))
    if todo:
        _predict(model or options.load(), options, todo, report)
    if found.passed_over:
        logging.info("%s", describe(found.passed_over))
    return report


def _check_no_picture_options(options: PredictOptions) -> None:
    given = []
    if options.output_format != "png":
        given.append("`output_format`")
    if options.quality is not None:
        given.append("`quality`")
    if given:
        verb = "is" if len(given) == 1 else "are"
        raise PicanetError(
            f"{' and '.join(given)} {verb} for pictures, and all inputs are videos. "
            "For a cut-out give `video_format`"
        )


def _predict(
    model: Model,
    options: PredictOptions,
    pairs: list[tuple[Input, Path]],
    report: PredictionReport,
) -> None:
    predictor = FilePredictor(model, options, report)
    try:
        with tqdm(total=len(pairs), unit="file", disable=len(pairs) == 1) as bar:
            for _ in predictor.run(pairs):
                bar.update()
        if options.is_collected:
            for name, text in predictor.collect(pairs).items():
                write_text(Path(options.output) / name, text)
    except DiskFullError:
        logging.error("%d of %d written", len(report.written), len(pairs))
        raise
    where = "beside the inputs"
    if options.output or len(pairs) == 1:
        where = f"to {options.output or pairs[0][1]}"
    if report.written:
        logging.info("%d written %s", len(report.written), where)
    if report.failed:
        what = "failed" if predictor.has_other_failures else "could not be read"
        logging.error("%d of %d %s", len(report.failed), len(pairs), what)
