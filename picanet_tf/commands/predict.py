"""Cuts the object that stands out of photos and videos, or draws its saliency map.

    picanet predict photo.jpg                        photo.cutout.png beside it
    picanet predict photos/                          the same of each in the folder
    picanet predict photo.jpg --output out/          out/photo.png, the grey map
    picanet predict photos/ --output out/ --format cutout --resume
    picanet predict 'photos/**/*.jpg' --output out/ --format overlay
    picanet predict - --format cutout < photo.jpg > cut.png
    picanet predict clip.mp4 --output out/           out/clip.saliency.mp4
    picanet predict photo.jpg --output out/ --model runs/latest

Results are PNGs of their image's own size, named as it, in the same sub-folders; of a
segmentation network --format map gives palette PNGs, whose values are the classes. Of a
video, out/clip.saliency.mp4, clip.segmentation.mp4 or clip.detection.mp4, as the task
is. What cannot be read is named and passed over; the exit code is then 1. In folders,
earlier results (photo.cutout.png and the like) are no photos and are passed over.
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
    predict,
)
from picanet_tf.inference.loading import MOST_THREADS
from picanet_tf.inference.locate import DESCRIPTION
from picanet_tf.training.run_directory import WEIGHTS

POSITIONAL = "[INPUT ...]"
STANDARD_STREAM = "-"


def define_flags() -> None:
    text, one_of, whole = flags.DEFINE_string, flags.DEFINE_enum, flags.DEFINE_integer
    text("model", None, DESCRIPTION)
    one_of("weights", None, WEIGHTS, "Of a run: the last checkpoint (model), or best.")
    one_of(
        "engine",
        None,
        ENGINES,
        "litert: quick, no TensorFlow, saliency only; keras: every network. Default: "
        "litert where the model has a LiteRT file.",
    )
    whole("threads", None, "Of the engine; default: one a core.", 1, MOST_THREADS)
    flags.DEFINE_multi_string(
        "input",
        [],
        "An image, a folder (with its sub-folders), a pattern such as 'in/**/*.jpg', a "
        "video, or - for standard input. Again for more; plain words are inputs too.",
    )
    text(
        "output",
        None,
        "Folder for the results; made when missing. Default: beside each input, as "
        "NAME.cutout.png.",
    )
    one_of(
        "format",
        None,
        (*picture_formats(), *collected_formats()),
        "map (default with --output): grey, 8 bits, or classes in VOC's colours; mask: "
        "black and white; cutout (default without): the image with the map as its "
        "alpha; overlay: the map as heat over the image, or the classes' colours with "
        "a legend; panel: all of them. Class maps have no mask or cutout. Of "
        "detections boxes (default); json: one detections.json of COCO's results; voc: "
        "a text a class for VOC's devkit.",
    )
    flags.DEFINE_float(
        "threshold", 0.5, "Of mask: salient from here on; of boxes: the score.", 0, 1
    )
    whole("batch_size", 4, "Images that go through the network at once.", 1)
    whole("max_pixels", MAX_PIXELS, "The largest width x height.", 1, MAX_PIXELS)
    flags.DEFINE_bool("resume", False, "Pass over what has its result already.")


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
    with sigterm_unwinds():  # so that it leaves no temporary files
        if STANDARD_STREAM in words:
            return predict_stream(words)
        return 1 if predict(words, **vars(read_options())).failed else 0


def predict_stream(words: list[str]) -> int:
    """Standard input to standard output, which therefore gets nothing else."""
    values = flags.FLAGS
    if values.resume:
        raise PicanetError("--resume goes with files, not with --input -")
    if values.format in collected_formats():
        raise PicanetError(f"--format {values.format}: not with --input -")
    if len(words) > 1 or values.output not in (None, STANDARD_STREAM):
        raise PicanetError("--input - stands alone, its result goes to standard output")
    if sys.stdin.isatty() or sys.stdout.isatty():
        raise PicanetError(
            "--input - wants a pipe: picanet predict - < in.jpg > out.png"
        )
    options, buffer = read_options(), io.BytesIO()
    data = sys.stdin.buffer.read()
    image = read_image(data, max_pixels=options.max_pixels, name="standard input")
    # Not a cut-out by default: as with a folder.
    model, options = dataclasses.replace(options, output=STANDARD_STREAM).load()
    result = model.predict(image)
    model.render(options.form, image, result, options.threshold).save(buffer, "PNG")
    sys.stdout.buffer.write(buffer.getvalue())
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    define_flags()
    cli.run(main, positional=POSITIONAL)
