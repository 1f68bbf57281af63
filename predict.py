"""Draws saliency maps of photos.

    python predict.py --run runs/latest --input photo.jpg --output out/
    python predict.py --input photos/ --output out/

Each map is an 8-bit grey PNG of its image's own size, named as the image.
"""

import sys
from pathlib import Path

from absl import flags, logging
from tqdm import tqdm

from data_pipeline import cli
from data_pipeline.cli import UserError
from data_pipeline.images import ImageError, list_images, read_image
from picanet_tf.errors import PicanetError
from picanet_tf.training.run_directory import WEIGHTS, RunDirectory

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("run", "runs/latest", "The run directory of the network.")
    flags.DEFINE_enum(
        "weights", "model", WEIGHTS, "Those of the last checkpoint, or the best ones."
    )
    flags.DEFINE_string("input", None, "An image, or a folder of images.")
    flags.DEFINE_string("output", None, "The folder for the maps; made when missing.")
    flags.DEFINE_integer(
        "batch_size", 4, "Images that go through the network at once.", lower_bound=1
    )
    flags.mark_flags_as_required(["input", "output"])


def outputs_of(paths: list[Path], folder: Path) -> dict[Path, Path]:
    """{image: its map}, no two alike."""
    outputs: dict[Path, Path] = {}
    taken: set[str] = set()
    for path in paths:
        name = f"{path.stem}.png"
        if name in taken:  # a.jpg beside a.png
            name = f"{path.name}.png"
        taken.add(name)
        outputs[path] = folder / name
        if outputs[path].resolve() == path.resolve():
            raise UserError(f"--output: {outputs[path]} would overwrite its own image")
    return outputs


def readable(paths: list[Path], failed: list[str]):
    for path in paths:
        try:
            yield path, read_image(path)
        except ImageError as error:
            tqdm.write(f"skipped: {error}", file=sys.stderr)
            failed.append(str(path))


def main(_) -> int:
    source, folder = Path(FLAGS.input), Path(FLAGS.output)
    paths = list_images(source) if source.is_dir() else [source]
    if not paths:
        raise UserError(f"--input: no images in {source}")
    if not source.exists():
        raise UserError(f"--input: there is no {source}")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output: {folder} is a file, a folder is wanted")
    outputs = outputs_of(paths, folder)
    try:
        RunDirectory.open(FLAGS.run).weights(FLAGS.weights)

        from picanet_tf import load_model

        model = load_model(FLAGS.run, FLAGS.weights)
    except PicanetError as error:
        raise UserError(str(error)) from error
    return predict(model, outputs)


def predict(model, outputs: dict[Path, Path]) -> int:
    import numpy as np
    from PIL import Image

    from picanet_tf.training.run_directory import replacing

    failed: list[str] = []
    started: list[Path] = []

    def images():
        for path, image in readable(list(outputs), failed):
            started.append(path)
            yield image

    maps = model.predict_arrays(images(), FLAGS.batch_size)
    with tqdm(total=len(outputs), unit="image", disable=len(outputs) == 1) as bar:
        for number, saliency in enumerate(maps):
            output = outputs[started[number]]
            output.parent.mkdir(parents=True, exist_ok=True)
            with replacing(output) as temporary:
                Image.fromarray(np.uint8(np.round(saliency * 255))).save(temporary)
            bar.update()
    done = len(started)
    logging.info("%d maps in %s", done, FLAGS.output)
    if failed:
        logging.error("%d of %d images could not be read", len(failed), len(outputs))
    return 1 if failed else 0


if __name__ == "__main__":
    define_flags()
    cli.run(main)
