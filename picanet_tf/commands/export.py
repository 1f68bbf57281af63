"""Exports a trained network: SavedModel for TF Serving, TFLite, ONNX.

    picanet export                        the default model to export/picanet/1/
    picanet export --model runs/x --formats saved_model,tflite --quantize none,dynamic
    picanet export --formats tflite --quantize int8 --calibration_tfrecords data/duts

Each artefact is read back and compared with the Keras model on real images: samples
that come along, or those of the calibration set. A version appears whole or not at all.
"""

from pathlib import Path

from absl import flags

from data_pipeline import cli
from data_pipeline.cli import UserError
from data_pipeline.images import read_image
from data_pipeline.manifest import load_manifest
from picanet_tf.errors import PicanetError
from picanet_tf.inference import load_model, locate
from picanet_tf.inference.locate import DESCRIPTION
from picanet_tf.recipes import RECIPES
from picanet_tf.samples import sample_photos
from picanet_tf.serving.order import FORMATS, QUANTIZATIONS, Order
from picanet_tf.training.run_directory import WEIGHTS

FLAGS = flags.FLAGS
CALIBRATION_IMAGES = 64
COMPARED_IMAGES = 8


def define_flags() -> None:
    flags.DEFINE_string("model", None, DESCRIPTION)
    flags.DEFINE_enum(
        "weights", None, WEIGHTS, "Of a run: the last checkpoint (model), or best."
    )
    flags.DEFINE_string("output", "export/picanet", "The folder of the versions.")
    flags.DEFINE_integer(
        "version", None, "The version's number; by default the next one."
    )
    flags.DEFINE_list(
        "formats", "saved_model", f"Some of {', '.join(FORMATS)}, with commas."
    )
    flags.DEFINE_list(
        "quantize",
        "none",
        f"Of TFLite, a file each: some of {', '.join(QUANTIZATIONS)}, with commas. "
        "none is float32, dynamic has int8 weights, int8 is all of it and needs "
        "--calibration_tfrecords.",
    )
    flags.DEFINE_integer(
        "image_size",
        None,
        "Side of the input in pixels, one that train.py takes; by default the run's.",
    )
    flags.DEFINE_string(
        "calibration_tfrecords",
        None,
        f"Directory of a data set; {CALIBRATION_IMAGES} of its images calibrate int8.",
    )
    flags.DEFINE_bool("overwrite", False, "Replace --version if it exists.")


def main(_: list[str]) -> int:
    try:
        return export()
    except PicanetError as error:
        raise UserError(str(error)) from error


def export() -> int:
    if FLAGS["quantize"].present and "tflite" not in FLAGS.formats:
        raise UserError("--quantize goes with --formats tflite only")
    order = Order(
        Path(FLAGS.output),
        FLAGS.version,
        tuple(FLAGS.formats),
        tuple(FLAGS.quantize),
        FLAGS.image_size,
        FLAGS.overwrite,
    )
    # All that can be looked at before TensorFlow is imported, which takes seconds.
    order.check(calibrated=bool(FLAGS.calibration_tfrecords))
    if FLAGS.calibration_tfrecords:
        task = load_manifest(FLAGS.calibration_tfrecords).task
        if task not in RECIPES:
            raise UserError(
                f"--calibration_tfrecords: {FLAGS.calibration_tfrecords} must be a "
                f"{' or '.join(RECIPES)} data set. Received: one for {task}"
            )
    found = locate(FLAGS.model, FLAGS.weights)
    if not found.has_network:
        raise UserError(
            f"--model {found.name} is a LiteRT file, which is exported already: name "
            "the run, the .keras file or the preset that it was made from"
        )

    from picanet_tf.serving import exporting, model_card

    calibration = read_calibration() if FLAGS.calibration_tfrecords else None
    images = calibration or [read_image(path) for path in sample_photos()]
    images = images[:COMPARED_IMAGES]
    facts = None
    if found.run:
        facts = model_card.facts_of_run(found.run, FLAGS.weights or "model")
    elif found.preset:
        facts = {"preset": found.preset.name, **found.preset.card}
    folder, artefacts = exporting.export(
        load_model(found, engine="keras").network,
        order,
        images,
        calibration=calibration,
        facts=facts,
    )
    print(f"{folder}, compared with the Keras model on {len(images)} images:")
    for name, size, difference, note in artefacts:
        print(f"  {name:32} {size / 1e6:7.1f} MB  differs by {difference:.1e}  {note}")
    return 0


def read_calibration() -> list:
    """Images of the calibration set, evenly spread over it."""
    from data_pipeline.readers import read_originals

    # The images alone are wanted: those of any task's set will do.
    task = load_manifest(FLAGS.calibration_tfrecords).task
    dataset = read_originals(FLAGS.calibration_tfrecords, task)
    step = max(1, len(dataset) // CALIBRATION_IMAGES)
    picked = dataset.shard(step, 0).take(CALIBRATION_IMAGES)
    return [record["image"] for record in picked.as_numpy_iterator()]


if __name__ == "__main__":
    define_flags()
    cli.run(main)
