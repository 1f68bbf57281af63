"""Draws a network's attention maps and features, as in Figures 4 and 5 of the paper.

    picanet visualize photo.jpg --output out/
    picanet visualize --input photo.jpg --output out/ --pixel 120,80 --pixel 40,200
    picanet visualize --tfrecords data/duts-te --output out/ --model runs/latest

Writes two figures per image. out/photo.attention.png shows, for each query pixel (white
dot), what each attentive module attends to within its context region (red).
out/photo.features.png shows the features before and after each context module, averaged
over the channels.

With --tfrecords, writes out/attention.json and prints a table: the share of the global
attention of foreground pixels that falls on the background, and vice versa; the share
of local attention that stays on the pixel's own side.

    picanet visualize --serve

starts an interactive page on localhost: drop a photo, click a pixel, adjust the
threshold, download the cut-out. Requires pip install 'gradio~=6.31'.
"""

from __future__ import annotations

import functools
from pathlib import Path

from absl import flags

from picanet_tf.core import cli
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import read_image
from picanet_tf.drawing.pixels import parse_pixel
from picanet_tf.inference import load_model, locate
from picanet_tf.inference.locate import DESCRIPTION
from picanet_tf.inference.visualize import load_attention, visualize
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
# The page keeps an upload and its map in memory while it is open.
MAX_UPLOAD_PIXELS = 64_000_000


def define_flags() -> None:
    flags.DEFINE_string("model", None, DESCRIPTION)
    flags.DEFINE_enum(
        "weights", None, WEIGHTS, "Which weights of a run: model (last) or best."
    )
    flags.DEFINE_multi_string(
        "input", [], "An image, a folder or a pattern. Repeatable."
    )
    flags.DEFINE_multi_string(
        "pixel",
        [],
        "Query pixel: x,y from the image's upper left corner. Repeatable. Default: one "
        "in the foreground and one in the background; for detection networks the "
        "centres of the three highest-scoring boxes.",
    )
    flags.DEFINE_multi_integer(
        "box",
        [],
        "Use the centre of this box as query pixel; box 1 has the highest score. "
        "Repeatable.",
        lower_bound=1,
    )
    flags.DEFINE_string("tfrecords", "", "Converted data set to measure attention on.")
    flags.DEFINE_string("output", None, "Folder for the results; created if missing.")
    flags.DEFINE_integer(
        "max_images", 0, "Measure only the first N images; 0: all.", lower_bound=0
    )
    flags.DEFINE_integer("batch_size", 8, "Images per network call.", lower_bound=1)
    flags.DEFINE_bool("serve", False, "Start the interactive page on localhost.")
    flags.DEFINE_integer(
        "port", 7860, "Port of the page.", lower_bound=1, upper_bound=65535
    )
    cli.path_flags("model", "input", "tfrecords", "output")


def main(words: list[str]) -> int:
    values = flags.FLAGS
    words = values.input + words
    if values.serve:
        return serve(words)
    if values["port"].present:
        raise PicanetError("--port goes with --serve")
    if not words and not values.tfrecords:
        raise PicanetError(
            "--input is missing: give an image, or --tfrecords to measure on"
        )
    for name in ("pixel", "box"):
        if values[name].value and not words:
            raise PicanetError(f"--{name} goes with --input")
    for name in ("max_images", "batch_size"):
        if values[name].present and not values.tfrecords:
            raise PicanetError(f"--{name} goes with --tfrecords")
    if not values.output:
        raise PicanetError("--output is missing: give a folder for the results")
    failed = visualize(
        words,
        values.output,
        pixels=[parse_pixel(text) for text in values.pixel],
        boxes=values.box,
        tfrecords=values.tfrecords,
        max_images=values.max_images,
        batch_size=values.batch_size,
        model=values.model,
        weights=values.weights,
        show=functools.partial(print, end=""),
    )
    return 1 if failed else 0


def serve(words: list[str]) -> int:
    """Runs the interactive page."""
    values = flags.FLAGS
    given = [f"--{name}" for name in NOT_SERVED if values[name].present]
    if given or words:
        raise PicanetError(
            f"--serve cannot be combined with {', '.join([*given, *words])}"
        )
    page.check(values.port)
    found = locate(values.model, values.weights)
    model = load_model(found)
    load = functools.partial(load_attention, found, model)
    look = load if found.has_network else None
    page.serve(page.Page(model, look, read_upload), values.port, found.name)
    return 0


def read_upload(path: str):
    """Reads a dropped photo, named without its temporary folder in errors."""
    return read_image(
        path, max_pixels=MAX_UPLOAD_PIXELS, name=Path(path).name, keep_alpha=True
    )


if __name__ == "__main__":
    define_flags()
    cli.run(main, positional=POSITIONAL)
