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

import io
import sys
from pathlib import Path

import numpy as np
from absl import flags, logging
from PIL import Image
from tqdm import tqdm

from data_pipeline import cli
from data_pipeline.cli import UserError
from data_pipeline.files import Input, find_inputs
from data_pipeline.images import MAX_PIXELS, ImageError, read_image
from data_pipeline.signals import sigterm_unwinds
from picanet_tf.commands.results import (
    check_beside,
    check_output,
    outputs_of,
    without_results,
)
from picanet_tf.core.files import replacing, write_text
from picanet_tf.core.images import save_image
from picanet_tf.detection.rendering import FORMATS as DETECTION_FORMATS
from picanet_tf.errors import PicanetError
from picanet_tf.inference import ENGINES, load_model, locate
from picanet_tf.inference.base import Model
from picanet_tf.inference.loading import MOST_THREADS
from picanet_tf.inference.locate import DESCRIPTION
from picanet_tf.inference.pipeline import predict_jobs
from picanet_tf.places import check_readable
from picanet_tf.saliency.rendering import FORMATS
from picanet_tf.training.run_directory import WEIGHTS

FLAGS = flags.FLAGS
POSITIONAL = "[INPUT ...]"
STANDARD_STREAM = "-"
TOGETHER = DETECTION_FORMATS[1:]  # of all images in one


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
        (*FORMATS, *DETECTION_FORMATS),
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


def main(words: list[str]) -> int:
    try:
        with sigterm_unwinds():  # so that it leaves no temporary files
            return predict(FLAGS.input + words)
    except PicanetError as error:
        raise UserError(str(error)) from error


def predict(words: list[str]) -> int:
    if not words:
        raise UserError("--input is missing: an image, a folder, a pattern, or -")
    if FLAGS["threshold"].present and FLAGS.format not in ("mask", "boxes"):
        raise UserError("--threshold goes with --format mask or boxes only")
    if not 0 <= FLAGS.threshold <= 1:  # NaN, which absl's own bounds let pass
        raise UserError(f"--threshold must be 0 to 1. Received: {FLAGS.threshold}")
    if FLAGS.format in TOGETHER and (FLAGS.resume or STANDARD_STREAM in words):
        raise UserError(f"--format {FLAGS.format}: not with --resume or --input -")
    if FLAGS.resume and STANDARD_STREAM in words:
        raise UserError("--resume goes with files, not with --input -")
    if STANDARD_STREAM in words:
        return predict_stream(words)
    if FLAGS.output == "" or FLAGS.format in TOGETHER and not FLAGS.output:
        raise UserError("--output is missing: the folder for the results")
    inputs, passed_over = without_results(find_inputs(check_readable(words)))
    if FLAGS.output:
        check_output(FLAGS.output)
    else:
        check_beside(inputs)
    videos = any(item.is_video for item in inputs)
    if FLAGS.format in ("cutout", *TOGETHER) and videos:
        raise UserError(f"--format {FLAGS.format}: not for videos, take another format")
    # Where no flag says it, the network alone tells what its results are called.
    model = load() if videos or not (FLAGS.output or FLAGS.format) else None
    pairs = outputs_of(
        inputs,
        FLAGS.output,
        form=FLAGS.format or "map",
        task=model.task_name if model else "",
        overwrite=FLAGS.resume,
    )
    todo = [pair for pair in pairs if not (FLAGS.resume and pair[1].exists())]
    if len(todo) < len(pairs):
        logging.info("%d of %d exist already", len(pairs) - len(todo), len(pairs))
    code = predict_files(todo, model or load()) if todo else 0
    if passed_over:
        logging.info("%d results of earlier calls passed over", passed_over)
    return code


def load() -> Model:
    found = locate(FLAGS.model, FLAGS.weights)
    model = load_model(found, engine=FLAGS.engine, threads=FLAGS.threads)
    if FLAGS.format is None:
        alone = not FLAGS.output and "cutout" in model.formats
        FLAGS.format = "cutout" if alone else model.formats[0]
    if FLAGS.format not in model.formats:
        has = f"the network of {found.name} has {', '.join(model.formats)}"
        raise UserError(f"--format {FLAGS.format}: {has}")
    return model


def predict_stream(words: list[str]) -> int:
    """Standard input to standard output, which therefore gets nothing else."""
    if len(words) > 1 or FLAGS.output not in (None, STANDARD_STREAM):
        raise UserError("--input - stands alone, its result goes to standard output")
    if sys.stdin.isatty() or sys.stdout.isatty():
        raise UserError("--input - wants a pipe: picanet predict - < in.jpg > out.png")
    image = read_image(
        sys.stdin.buffer.read(), max_pixels=FLAGS.max_pixels, name="standard input"
    )
    FLAGS.output, buffer = STANDARD_STREAM, io.BytesIO()
    model = load()
    draw(model, image, model.predict(image)).save(buffer, "PNG")
    sys.stdout.buffer.write(buffer.getvalue())
    sys.stdout.buffer.flush()
    return 0


def draw(model, image: np.ndarray, result, form: str | None = None) -> Image.Image:
    return model.render(form or FLAGS.format, image, result, FLAGS.threshold)


def predict_files(pairs: list[tuple[Input, Path]], model) -> int:
    failed, found = [], {}

    def failure(error: Exception) -> None:
        tqdm.write(f"unreadable: {error}", file=sys.stderr)
        failed.append(error)

    def read(pair: tuple[Input, Path]) -> np.ndarray:
        return read_image(pair[0].path, max_pixels=FLAGS.max_pixels)

    def write(pair: tuple[Input, Path], image: np.ndarray, result) -> None:
        if FLAGS.format in TOGETHER:
            name = pair[1].relative_to(FLAGS.output).with_suffix("")
            found[str(name)] = result
        else:
            save_image(pair[1], draw(model, image, result))

    images = [pair for pair in pairs if not pair[0].is_video]
    # The LiteRT engine takes one image at a time: the sooner it begins, the better.
    batch_size = FLAGS.batch_size if hasattr(model, "network") else 1
    with tqdm(total=len(pairs), unit="file", disable=len(pairs) == 1) as bar:
        for _, error in predict_jobs(
            model, images, read, write, expected=ImageError, batch_size=batch_size
        ):
            if error:
                failure(error)
            bar.update()
        for item, output in pairs:
            if item.is_video:
                try:
                    predict_video(model, item.path, output)
                except UserError as error:
                    failure(error)
                bar.update()
    if FLAGS.format in TOGETHER:
        in_order = {
            name: found[name]
            for _, output in images
            if (name := str(output.relative_to(FLAGS.output).with_suffix(""))) in found
        }
        for name, text in model.collected[FLAGS.format](in_order).items():
            write_text(Path(FLAGS.output) / name, text)
    where = "beside the inputs"
    if FLAGS.output or len(pairs) == 1:
        where = f"to {FLAGS.output or pairs[0][1]}"
    if done := len(pairs) - len(failed):
        logging.info("%d written %s", done, where)
    if failed:
        logging.error("%d of %d could not be read", len(failed), len(pairs))
    return 1 if failed else 0


def predict_video(model, path: Path, output: Path) -> None:
    from data_pipeline.video import VideoError, VideoReader, video_writer

    reader = VideoReader(path)
    # Of images the default without --output, but a video has no alpha.
    form = "map" if FLAGS.format == "cutout" else FLAGS.format
    named = ((None, frame) for frame in reader)
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
        replacing(output) as temporary,
        video_writer(temporary, reader.frames_per_second) as add,
        tqdm(total=reader.count or None, unit="frame", desc=path.name) as bar,
    ):
        for _, frame, result in model.predict_named(named, FLAGS.batch_size):
            picture = draw(model, frame, result, form)
            colours = picture.convert("RGB") if picture.mode == "P" else picture
            add(np.asarray(colours))
            bar.update()
    if reader.missing:
        raise VideoError(
            f"{path}: {reader.missing:,} of its {reader.count:,} frames; the others "
            f"are in {output}"
        )


if __name__ == "__main__":
    define_flags()
    cli.run(main, positional=POSITIONAL)
