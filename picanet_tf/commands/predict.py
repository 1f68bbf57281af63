"""Cuts the salient object out of photos and videos, or draws its saliency map.

    picanet predict photo.jpg                        photo.cutout.png next to it
    picanet predict photos/                          the same for a whole folder
    picanet predict photo.jpg --output out/          out/photo.png, the grey map
    picanet predict photos/ --output out/ --format cutout --resume
    picanet predict 'photos/**/*.jpg' --output out/ --format overlay
    picanet predict - --format cutout < photo.jpg > cut.png
    picanet predict clip.mp4 --output out/           out/clip.saliency.mp4
    picanet predict photo.jpg --output out/ --model runs/latest

Results are PNGs at the original image size; --output keeps file names and sub-folders.
Segmentation networks write palette PNGs of class numbers with --format map. Videos
become clip.saliency.mp4, clip.segmentation.mp4 or clip.detection.mp4, depending on the
task. Unreadable inputs are reported and skipped; the exit code is then 1. Results of
earlier runs (photo.cutout.png and the like) found in a folder are skipped.
"""

from __future__ import annotations

import dataclasses
import io
import sys

from absl import flags

from picanet_tf.core import cli
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import MAX_PIXELS, read_image
from picanet_tf.core.signals import sigterm_unwinds
from picanet_tf.inference import ENGINES
from picanet_tf.inference.files import (
    PredictOptions,
    collected_formats,
    picture_formats,
    predict_files,
)
from picanet_tf.inference.loading import MOST_THREADS
from picanet_tf.inference.locate import DESCRIPTION
from picanet_tf.training.run_directory import WEIGHTS

POSITIONAL = "[INPUT ...]"
STANDARD_STREAM = "-"


def define_flags() -> None:
    text, one_of, whole = flags.DEFINE_string, flags.DEFINE_enum, flags.DEFINE_integer
    text("model", None, DESCRIPTION)
    one_of("weights", None, WEIGHTS, "Which weights of a run: model (last) or best.")
    one_of(
        "engine",
        None,
        ENGINES,
        "litert: fast, saliency only, needs no TensorFlow; keras: any network. "
        "Default: litert if the model has a LiteRT file.",
    )
    whole("threads", None, "Engine threads; default: one per core.", 1, MOST_THREADS)
    flags.DEFINE_multi_string(
        "input",
        [],
        "An image, a folder (searched recursively), a pattern such as 'in/**/*.jpg', a "
        "video, or - for standard input. Repeatable; same as a positional argument.",
    )
    text(
        "output",
        None,
        "Folder for the results; created if missing. Default: next to each input, as "
        "NAME.cutout.png.",
    )
    one_of(
        "format",
        None,
        (*picture_formats(), *collected_formats()),
        "map (default with --output): 8-bit grey, or classes in VOC colours; mask: "
        "black and white; cutout (default without --output): the image with the map "
        "as alpha channel; overlay: a heat map, or class colours with a legend, over "
        "the image; panel: all of these. Class maps have no mask or cutout. Detection: "
        "boxes (default): drawn on the image; json: one detections.json in COCO's "
        "results format; voc: one text file per class for the VOC devkit.",
    )
    flags.DEFINE_float(
        "threshold", 0.5, "mask: minimum saliency; boxes: minimum score.", 0, 1
    )
    whole("batch_size", 4, "Images per network call.", 1)
    whole("max_pixels", MAX_PIXELS, "Largest width x height accepted.", 1, MAX_PIXELS)
    flags.DEFINE_bool("resume", False, "Skip inputs whose result already exists.")
    cli.path_flags("model", "input", "output")


def read_options() -> PredictOptions:
    values = flags.FLAGS
    if values["threshold"].present and values.format not in ("mask", "boxes"):
        raise PicanetError("--threshold goes with --format mask or boxes only")
    return PredictOptions(
        output=values.output,
        form=values.format,
        threshold=values.threshold,
        batch_size=values.batch_size,
        max_pixels=values.max_pixels,
        resume=values.resume,
        model=values.model,
        weights=values.weights,
        engine=values.engine,
        threads=values.threads,
    )


def main(words: list[str]) -> int:
    words = flags.FLAGS.input + words
    with sigterm_unwinds():  # removes temporary files on SIGTERM
        if STANDARD_STREAM in words:
            return predict_stream(words)
        return 1 if predict_files(words, read_options()).failed else 0


def predict_stream(words: list[str]) -> int:
    """Reads an image from standard input, writes the result to standard output."""
    values = flags.FLAGS
    if values.resume:
        raise PicanetError("--resume cannot be combined with --input -")
    if values.format in collected_formats():
        raise PicanetError(
            f"--format {values.format} cannot be combined with --input -"
        )
    if len(words) > 1 or values.output not in (None, STANDARD_STREAM):
        raise PicanetError(
            "--input - must be the only input; its result goes to standard output"
        )
    if sys.stdin.isatty() or sys.stdout.isatty():
        raise PicanetError(
            "--input - requires a pipe: picanet predict - < in.jpg > out.png"
        )
    options, buffer = read_options(), io.BytesIO()
    data = sys.stdin.buffer.read()
    image = read_image(data, max_pixels=options.max_pixels, name="standard input")
    # The default format is the one used with --output, not a cut-out.
    model, options = dataclasses.replace(options, output=STANDARD_STREAM).load()
    result = model.predict(image)
    model.render(options.form, image, result, options.threshold).save(buffer, "PNG")
    sys.stdout.buffer.write(buffer.getvalue())
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    define_flags()
    cli.run(main, positional=POSITIONAL)
