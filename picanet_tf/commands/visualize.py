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

from __future__ import annotations

import functools
from pathlib import Path

from absl import flags

from picanet_tf.core import cli
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import read_image
from picanet_tf.core.path_checks import check_folder, check_writable
from picanet_tf.drawing.pixels import parse_pixel
from picanet_tf.inference import load_model, locate
from picanet_tf.inference.locate import DESCRIPTION
from picanet_tf.inference.visualize import (
    load_attention,
    measure_attention,
    visualize,
)
from picanet_tf.serving import page
from picanet_tf.training.run_directory import WEIGHTS

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
        "detection network the centres of the three boxes of highest score.",
    )
    flags.DEFINE_multi_integer(
        "box",
        [],
        "Look from the centre of this box, 1 having the highest score. May be given "
        "again.",
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
    values = flags.FLAGS
    words = values.input + words
    if values.serve:
        return serve(words)
    if values["port"].present:
        raise PicanetError("--port goes with --serve")
    if not words and not values.tfrecords:
        raise PicanetError(
            "--input is missing: an image; or --tfrecords, to measure on"
        )
    for name in ("pixel", "box"):
        if values[name].value and not words:
            raise PicanetError(f"--{name} goes with --input")
    if not values.output:
        raise PicanetError("--output is missing: the folder for the results")
    pixels = [parse_pixel(text) for text in values.pixel]
    model = {"model": values.model, "weights": values.weights}
    if values.tfrecords:
        folder = check_writable(check_folder(values.output))
        text = measure_attention(
            values.tfrecords,
            folder / "attention.json",
            max_images=values.max_images,
            batch_size=values.batch_size,
            **model,
        )
        print(text, end="")
    failed = words and visualize(
        words, values.output, pixels=pixels, boxes=values.box, **model
    )
    return 1 if failed else 0


def serve(words: list[str]) -> int:
    """The page for this machine's browsers."""
    values = flags.FLAGS
    given = [f"--{name}" for name in NOT_SERVED if values[name].present]
    if given or words:
        raise PicanetError(f"--serve does not go with {', '.join([*given, *words])}")
    page.check(values.port)
    found = locate(values.model, values.weights)
    model = load_model(found)
    load = functools.partial(load_attention, found, model)
    look = load if found.has_network else None
    page.serve(page.Page(model, look, read_upload), values.port, found.name)
    return 0


def read_upload(path: str):
    return read_image(path, max_pixels=MAX_UPLOAD_PIXELS, name=Path(path).name)


if __name__ == "__main__":
    define_flags()
    cli.run(main, positional=POSITIONAL)
