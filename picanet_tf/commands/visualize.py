"""Shows where the network looks: Figures 4 and 5 of the paper for any image.

    picanet visualize photo.jpg --output out/
    picanet visualize --input photo.jpg --output out/ --pixel 120,80 --pixel 40,200
    picanet visualize --tfrecords data/duts-te --output out/ --model runs/latest

For each image, out/photo.attention.png: from each pixel (the white dot), what each
attentive module attends to, and the region that it can attend to (red). And
out/photo.features.png: the features that go into each context module and those that
come out, averaged over the channels.

With --tfrecords, out/attention.json and a table: which share of the global attention
of foreground pixels falls on background, and the reverse.

    picanet visualize --serve

opens the same to play with, as a page for this machine's browsers: drop a photo, click
a pixel, drag a threshold, download the cut-out. It wants pip install 'gradio~=6.31'.
"""

import sys
from pathlib import Path

from absl import flags, logging
from tqdm import tqdm

from data_pipeline import cli
from data_pipeline.cli import UserError
from data_pipeline.files import assign_outputs, check_folder, find_inputs
from data_pipeline.images import ImageError, read_image
from data_pipeline.manifest import load_manifest
from picanet_tf import page
from picanet_tf.core.files import write_json
from picanet_tf.errors import PicanetError
from picanet_tf.inference import Located, load_model, locate
from picanet_tf.inference.locate import DESCRIPTION
from picanet_tf.pixels import cell_of, of_ranks, parse_pixel
from picanet_tf.places import check_readable, check_writable
from picanet_tf.training.run_directory import WEIGHTS

FLAGS = flags.FLAGS
POSITIONAL = "[INPUT ...]"
NOT_SERVED = (
    "input",
    "pixel",
    "box",
    "tfrecords",
    "output",
    "max_images",
    "batch_size",
)
# The page keeps an upload and its map in memory for as long as it is open.
MAX_UPLOAD_PIXELS = 64_000_000


def define_flags() -> None:
    flags.DEFINE_string("model", None, DESCRIPTION)
    flags.DEFINE_enum(
        "weights", None, WEIGHTS, "Of a run: the last checkpoint (model), or best."
    )
    flags.DEFINE_multi_string(
        "input", [], "An image, a folder or a pattern. May be given again."
    )
    flags.DEFINE_multi_string(
        "pixel",
        [],
        "A pixel to look from: x,y from the image's upper left corner. May be given "
        "again. By default one in the foreground and one in the background, of a "
        "detection network the middles of the three surest boxes.",
    )
    flags.DEFINE_multi_integer(
        "box",
        [],
        "Look from the middle of this box: 1 is the surest. May be given again.",
        lower_bound=1,
    )
    flags.DEFINE_string(
        "tfrecords", "", "A data set of data_pipeline.convert, to measure attention on."
    )
    flags.DEFINE_string(
        "output", None, "The folder for the results; made when missing."
    )
    flags.DEFINE_integer(
        "max_images", 0, "Measure on the first so many; 0 is all.", lower_bound=0
    )
    flags.DEFINE_integer("batch_size", 8, "Images measured at once.", lower_bound=1)
    flags.DEFINE_bool("serve", False, "Open a page on this machine to click on photos.")
    flags.DEFINE_integer("port", 7860, "Of the page.", lower_bound=1, upper_bound=65535)


def main(words: list[str]) -> int:
    try:
        return visualize(FLAGS.input + words)
    except PicanetError as error:
        raise UserError(str(error)) from error


def visualize(words: list[str]) -> int:
    if FLAGS.serve:
        return serve(words)
    if FLAGS["port"].present:
        raise UserError("--port goes with --serve")
    if not words and not FLAGS.tfrecords:
        raise UserError("--input is missing: an image; or --tfrecords, to measure on")
    for name in ("pixel", "box"):
        if FLAGS[name].value and not words:
            raise UserError(f"--{name} goes with --input")
    if not FLAGS.output:
        raise UserError("--output is missing: the folder for the results")
    chosen = [parse_pixel(text) for text in FLAGS.pixel]
    pixels = {f"pixel {number}": pixel for number, pixel in enumerate(chosen, 1)}
    folder = check_folder(FLAGS.output)
    inputs = find_inputs(check_readable(words))
    for item in inputs:
        if item.is_video:
            raise UserError(f"--input: {item.path} is a video, an image is wanted")
    pairs = assign_outputs(inputs, folder, suffix="")
    check_writable(folder)
    if FLAGS.tfrecords:
        load_manifest(FLAGS.tfrecords)
    found = locate(FLAGS.model, FLAGS.weights)
    model, attention = load(found)
    if FLAGS.box and not attention.finds_objects:
        raise UserError(f"--box wants a detection network. {found.name} has no boxes")
    if FLAGS.tfrecords:
        measure(attention, model.image_size, folder / "attention.json", found.name)
    return draw(attention, pairs, pixels) if pairs else 0


def load(found: Located):
    if not found.has_network:  # before TensorFlow, which takes seconds
        raise UserError(
            f"--model {found.name}: a LiteRT file does not give its attention. Name "
            "the run, the .keras file or the preset that it was made from"
        )
    from picanet_tf.inference import AttentionModel

    model = load_model(found, engine="keras")
    return model, AttentionModel(model)


def serve(words: list[str]) -> int:
    given = [f"--{name}" for name in NOT_SERVED if FLAGS[name].present]
    if given or words:
        raise UserError(f"--serve does not go with {', '.join([*given, *words])}")
    page.check(FLAGS.port)
    found = locate(FLAGS.model, FLAGS.weights)
    model = load_model(found)

    def load_attention():
        if not hasattr(model, "network"):
            return load(found)[1]
        from picanet_tf.inference import AttentionModel

        return AttentionModel(model)

    look = load_attention if found.has_network else None
    page.serve(page.Page(model, look, read_upload), FLAGS.port, found.name)
    return 0


def read_upload(path: str):
    try:
        return read_image(path, max_pixels=MAX_UPLOAD_PIXELS, name=Path(path).name)
    except ImageError as error:
        raise PicanetError(str(error)) from error


def draw(model, pairs, pixels) -> int:
    from picanet_tf.visualization import save_attention, save_features

    failed = 0
    for item, output in tqdm(pairs, unit="image", disable=len(pairs) == 1):
        try:
            image = read_image(item.path)
        except ImageError as error:
            tqdm.write(f"skipped: {error}", file=sys.stderr)
            failed += 1
            continue
        for pixel in pixels.values():
            cell_of(pixel, *[image.shape[:2]] * 2, image=item.path)  # or an error
        look, image = model.look(image), model.frame(image)
        title = str(item.place)
        chosen = pixels | of_ranks(look.objects, FLAGS.box, item.path)
        save_attention(
            Path(f"{output}.attention.png"), image, look, model.kinds, chosen, title
        )
        save_features(Path(f"{output}.features.png"), image, look, title)
    logging.info("%d images drawn in %s", len(pairs) - failed, FLAGS.output)
    if failed:
        logging.error("%d of %d could not be read", failed, len(pairs))
    return 1 if failed else 0


def measure(model, image_size: int, path: Path, name: str) -> None:
    from data_pipeline.readers import read_saliency
    from picanet_tf.saliency.attention import contrast_table, measure_contrast

    batches = read_saliency(
        FLAGS.tfrecords,
        batch_size=FLAGS.batch_size,
        training=False,
        image_size=image_size,
    )
    if FLAGS.max_images:
        batches = batches.unbatch().take(FLAGS.max_images).batch(FLAGS.batch_size)
    results = measure_contrast(model, tqdm(batches, unit="batch"))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"model": name, "tfrecords": FLAGS.tfrecords, **results})
    print(contrast_table(results), end="")


if __name__ == "__main__":
    define_flags()
    cli.run(main, positional=POSITIONAL)
