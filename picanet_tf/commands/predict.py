"""Draws what a network makes of photos and videos: saliency maps, or class maps.

    python predict.py --run runs/latest --input photo.jpg --output out/
    python predict.py --input photos/ --output out/ --format cutout --resume
    python predict.py --input 'photos/**/*.jpg' --output out/ --format overlay
    python predict.py --input - < photo.jpg > map.png
    python predict.py --input clip.mp4 --output out/          (out/clip.saliency.mp4)

Results are PNGs of their image's own size, named as it, in the same sub-folders; of a
segmentation network --format map gives palette PNGs, whose values are the classes. Of a
video, out/clip.saliency.mp4, clip.segmentation.mp4 or clip.detection.mp4, as the task
is. What cannot be read is named and passed over; the exit code is then 1.
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
from data_pipeline.files import Input, assign_outputs, check_folder, find_inputs
from data_pipeline.images import MAX_PIXELS, ImageError, read_image
from data_pipeline.video import VideoError, VideoReader, video_writer
from picanet_tf.detection.rendering import FORMATS as DETECTION_FORMATS
from picanet_tf.errors import PicanetError
from picanet_tf.places import check_readable, check_writable
from picanet_tf.saliency.rendering import FORMATS
from picanet_tf.training.run_directory import WEIGHTS, replacing, weights_of, write_text

FLAGS = flags.FLAGS
STANDARD_STREAM = "-"
TOGETHER = DETECTION_FORMATS[1:]  # of all images in one


def define_flags() -> None:
    text, one_of, whole = flags.DEFINE_string, flags.DEFINE_enum, flags.DEFINE_integer
    text("run", "runs/latest", "The run directory of the network, or a .keras file.")
    one_of("weights", "model", WEIGHTS, "Of the last checkpoint, or the best ones.")
    flags.DEFINE_multi_string(
        "input",
        [],
        "An image, a folder (with its sub-folders), a pattern such as 'in/**/*.jpg', a "
        "video, or - for standard input. Again for more; plain words are inputs too.",
    )
    text("output", None, "Folder for the results; made when missing.")
    one_of(
        "format",
        None,
        (*FORMATS, *DETECTION_FORMATS),
        "map (default): grey, 8 bits, or classes in VOC's colours; mask: black and "
        "white; cutout: the image with the map as its alpha; overlay: the map as heat "
        "over the image, or the classes' colours with a legend; panel: all of them. "
        "Class maps have no mask or cutout. Of detections boxes (default); json: one "
        "detections.json of COCO's results; voc: a text a class for VOC's devkit.",
    )
    flags.DEFINE_float(
        "threshold", 0.5, "Of mask: salient from here on; of boxes: the score.", 0, 1
    )
    whole("batch_size", 4, "Images that go through the network at once.", 1)
    whole("max_pixels", MAX_PIXELS, "The largest width x height.", 1, MAX_PIXELS)
    flags.DEFINE_bool("resume", False, "Pass over what has its result already.")


def main(words: list[str]) -> int:
    try:
        return predict(FLAGS.input + words)
    except PicanetError as error:
        raise UserError(str(error)) from error


def predict(words: list[str]) -> int:
    if not words:
        raise UserError("--input is missing: an image, a folder, a pattern, or -")
    if FLAGS["threshold"].present and FLAGS.format not in ("mask", "boxes"):
        raise UserError("--threshold goes with --format mask or boxes only")
    if FLAGS.format in TOGETHER and (FLAGS.resume or STANDARD_STREAM in words):
        raise UserError(f"--format {FLAGS.format}: not with --resume or --input -")
    if STANDARD_STREAM in words:
        return predict_stream(words)
    if not FLAGS.output:
        raise UserError("--output is missing: the folder for the results")
    inputs = find_inputs(check_readable(words))
    folder = check_writable(check_folder(FLAGS.output))
    videos = any(item.is_video for item in inputs)
    if FLAGS.format in ("cutout", *TOGETHER) and videos:
        raise UserError(f"--format {FLAGS.format}: not for videos, take another format")
    model = load() if videos else None  # It alone tells what they will show.
    suffix = f".{model.identity.task_name}.mp4" if model else ""
    pairs = assign_outputs(inputs, folder, video_suffix=suffix)
    todo = [pair for pair in pairs if not (FLAGS.resume and pair[1].exists())]
    if len(todo) < len(pairs):
        logging.info("%d of %d exist already", len(pairs) - len(todo), len(pairs))
    return predict_files(todo, model or load()) if todo else 0


def load():
    weights_of(FLAGS.run, FLAGS.weights)  # before TensorFlow, which takes seconds
    from picanet_tf import load_model

    model = load_model(FLAGS.run, FLAGS.weights)
    FLAGS.format = FLAGS.format or model.formats[0]
    if FLAGS.format not in model.formats:
        has = f"the network of {FLAGS.run} has {', '.join(model.formats)}"
        raise UserError(f"--format {FLAGS.format}: {has}")
    return model


def predict_stream(words: list[str]) -> int:
    """Standard input to standard output, which therefore gets nothing else."""
    if len(words) > 1 or FLAGS.output not in (None, STANDARD_STREAM):
        raise UserError("--input - stands alone, its result goes to standard output")
    if sys.stdin.isatty() or sys.stdout.isatty():
        raise UserError("--input - wants a pipe: predict.py --input - < in.jpg > o.png")
    image = read_image(
        sys.stdin.buffer.read(), max_pixels=FLAGS.max_pixels, name="standard input"
    )

    model, buffer = load(), io.BytesIO()
    picture = draw(model, image, model.predict(image))
    picture.save(buffer, "PNG")
    sys.stdout.buffer.write(buffer.getvalue())
    sys.stdout.buffer.flush()
    return 0


def draw(model, image: np.ndarray, result) -> Image.Image:
    return model.render(FLAGS.format, image, result, FLAGS.threshold)


def predict_files(pairs: list[tuple[Input, Path]], model) -> int:
    from picanet_tf.visualization import save_image

    failed, found = [], {}

    def failure(error: Exception) -> None:
        tqdm.write(f"unreadable: {error}", file=sys.stderr)
        failed.append(error)
        bar.update()

    def images():
        for item, output in pairs:
            if not item.is_video:
                try:
                    yield output, read_image(item.path, max_pixels=FLAGS.max_pixels)
                except ImageError as error:
                    failure(error)

    with tqdm(total=len(pairs), unit="file", disable=len(pairs) == 1) as bar:
        for output, image, result in model.predict_named(images(), FLAGS.batch_size):
            if FLAGS.format in TOGETHER:
                found[str(output.relative_to(FLAGS.output).with_suffix(""))] = result
            else:
                save_image(output, draw(model, image, result))
            bar.update()
        for item, output in pairs:
            if item.is_video:
                try:
                    predict_video(model, item.path, output)
                    bar.update()
                except UserError as error:
                    failure(error)
    if FLAGS.format in TOGETHER:
        for name, text in model.collected[FLAGS.format](found).items():
            write_text(Path(FLAGS.output) / name, text)
    logging.info("%d written to %s", len(pairs) - len(failed), FLAGS.output)
    if failed:
        logging.error("%d of %d could not be read", len(failed), len(pairs))
    return 1 if failed else 0


def predict_video(model, path: Path, output: Path) -> None:
    reader = VideoReader(path)
    named = ((None, frame) for frame in reader)
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
        replacing(output) as temporary,
        video_writer(temporary, reader.frames_per_second) as add,
        tqdm(total=reader.count or None, unit="frame", desc=path.name) as bar,
    ):
        for _, frame, result in model.predict_named(named, FLAGS.batch_size):
            picture = draw(model, frame, result)
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
    cli.run(main, positional="[INPUT ...]")
