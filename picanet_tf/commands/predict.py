"""Cuts the salient object out of photos and videos, or draws its saliency map.

    picanet predict photo.jpg                        photo.cutout.png next to it
    picanet predict photos/                          the same for a whole folder
    picanet predict photo.jpg --output out/          out/photo.png, the grey map
    picanet predict photos/ --output out/ --format cutout --resume
    picanet predict 'photos/**/*.jpg' --output out/ --format overlay
    picanet predict photos/ --output_format webp --quality 80
    picanet predict photo.jpg --background white --crop
    picanet predict --watch inbox/                   until Ctrl-C
    picanet predict - --format cutout < photo.jpg > cut.png
    picanet predict clip.mp4 --output out/           out/clip.saliency.mp4
    picanet predict clip.mp4 --format cutout         clip.cutout.webm, with alpha
    picanet predict photo.jpg --output out/ --model runs/latest

Results have the original image size; --output keeps file names and sub-folders.
Segmentation networks write palette PNGs of class numbers with --format map. Videos
become clip.saliency.mp4, clip.segmentation.mp4 or clip.detection.mp4, depending on the
task. Inputs that fail are reported and the others continue; the exit code is then 1.
Folders are searched for images, also through links; files that are passed over are
reported: videos, files in --output, results of earlier runs (photo.cutout.png), etc.
"""

from __future__ import annotations

import dataclasses

from absl import flags

from picanet_tf.commands.cutout_flags import define_cutout_flags, read_cutout_options
from picanet_tf.commands.engine_flags import define_engine_flags
from picanet_tf.core import cli
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import MAX_PIXELS
from picanet_tf.core.pictures import OUTPUT_FORMATS
from picanet_tf.core.signals import sigterm_unwinds
from picanet_tf.drawing.ffmpeg import VIDEO_FORMATS
from picanet_tf.inference.files import predict_files
from picanet_tf.inference.locate import DESCRIPTION
from picanet_tf.inference.options import (
    PredictOptions,
    collected_formats,
    picture_formats,
)
from picanet_tf.inference.stream import predict_stream
from picanet_tf.inference.watch import watch_folder

POSITIONAL = "[INPUT ...]"
STANDARD_STREAM = "-"


def define_flags() -> None:
    text, one_of, whole = flags.DEFINE_string, flags.DEFINE_enum, flags.DEFINE_integer
    text("model", None, DESCRIPTION)
    define_engine_flags()
    flags.DEFINE_multi_string(
        "input",
        [],
        "An image, a folder (searched recursively), a pattern such as 'in/**/*.jpg', a "
        "video, or - for standard input. Repeatable; same as a positional argument.",
    )
    text(
        "watch",
        None,
        "A folder: predict its images, and those that arrive or change, until Ctrl-C.",
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
        "map (default with --output, for videos and for -): 8-bit grey, or classes in "
        "VOC colours; mask: black and white; cutout (default for photos without "
        "--output): the object, transparent around it; overlay: a heat map, or class "
        "colours with a legend, over the image; panel: all of these. Class maps have "
        "no mask or cutout. Detection: boxes (default): drawn on the image; json: one "
        "detections.json in COCO's results format; voc: one text file per class for "
        "the VOC devkit.",
    )
    flags.DEFINE_float(
        "threshold", 0.5, "mask: minimum saliency; boxes: minimum score.", 0, 1
    )
    one_of("output_format", "png", tuple(OUTPUT_FORMATS), "File format of pictures.")
    whole("quality", None, "1 to 100, for jpg and webp; default: 90.", 1, 100)
    one_of(
        "video_format",
        None,
        VIDEO_FORMATS,
        "File format of videos with --format cutout: webm (VP9), mov (ProRes 4444), or "
        "frames: a folder of PNGs. Default: webm, or frames without ffmpeg.",
    )
    define_cutout_flags()
    whole("batch_size", 4, "Images per network call.", 1)
    whole("max_pixels", MAX_PIXELS, "Largest width x height accepted.", 1, MAX_PIXELS)
    flags.DEFINE_bool("resume", False, "Skip inputs whose result already exists.")
    cli.path_flags("model", "input", "watch", "output", "background")


def read_options() -> PredictOptions:
    """Returns the options given by the flags; raises `PicanetError` if invalid."""
    values = flags.FLAGS
    if values["threshold"].present and values.format not in ("mask", "boxes"):
        raise PicanetError("--threshold goes with --format mask or boxes only")
    names = {field.name for field in dataclasses.fields(PredictOptions)}
    options = {name: values[name].value for name in names - {"form", "cutout"}}
    cutout = read_cutout_options()
    return PredictOptions(form=values.format, cutout=cutout, **options)


def main(words: list[str]) -> int:
    values, options = flags.FLAGS, read_options()
    words = values.input + words
    with sigterm_unwinds():  # removes temporary files on SIGTERM
        if values.watch is not None:
            if words:
                raise PicanetError(
                    f"--watch takes no other input. Received: {words[0]}"
                )
            watch_folder(values.watch, options)
            return 0
        if STANDARD_STREAM not in words:
            return 1 if predict_files(words, options).failed else 0
        if len(words) > 1 or options.output not in (None, STANDARD_STREAM):
            raise PicanetError(
                "--input - must be the only input; its result goes to standard output"
            )
        predict_stream(options)
        return 0


if __name__ == "__main__":
    define_flags()
    cli.run(main, positional=POSITIONAL)
