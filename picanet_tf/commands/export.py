"""Exports a trained network as a SavedModel for TF Serving, TFLite or ONNX.

    picanet export                        the default model to export/picanet/1/
    picanet export --model runs/x --formats saved_model,tflite --quantize none,dynamic
    picanet export --formats tflite --quantize int8 --calibration_tfrecords data/duts
    picanet export --formats tflite --quantize dynamic --attention

Each artefact is loaded back and compared with the Keras model on real images: the
bundled samples, or images of the calibration set that did not calibrate; with int8 also
on brighter and darker copies. A version is published atomically.
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from data_pipeline.manifest import load_manifest
from picanet_tf.core import cli
from picanet_tf.core.errors import naming_argument
from picanet_tf.core.images import read_image
from picanet_tf.inference import load_model, locate
from picanet_tf.inference.locate import DESCRIPTION
from picanet_tf.presets.samples import sample_photos
from picanet_tf.serving.photos import CALIBRATION_IMAGES, COMPARED_IMAGES, split
from picanet_tf.serving.request import FORMATS, QUANTIZATIONS, ExportRequest
from picanet_tf.training.run_directory import WEIGHTS

POSITIONAL = ""


def define_flags() -> None:
    text, whole, words = flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_list
    text("model", None, DESCRIPTION)
    flags.DEFINE_enum(
        "weights", None, WEIGHTS, "Which weights of a run: model (last) or best."
    )
    text("output", "export/picanet", "Folder that holds the numbered versions.")
    whole("version", None, "Version number; default: the next one.")
    words("formats", "saved_model", f"Comma-separated list of {', '.join(FORMATS)}.")
    words(
        "quantize",
        "none",
        "TFLite only, one file each: comma-separated list of "
        f"{', '.join(QUANTIZATIONS)}. none: float32; dynamic: int8 weights; int8: int8 "
        "weights and activations, requires --calibration_tfrecords.",
    )
    whole(
        "image_size",
        None,
        "Side of the input in pixels, any size that picanet train accepts; default: "
        "the network's own.",
    )
    text(
        "calibration_tfrecords",
        None,
        f"Converted data set; {CALIBRATION_IMAGES} of its images calibrate int8, and "
        f"{COMPARED_IMAGES} others are compared on.",
    )
    help_ = "TFLite only: also a file each that outputs the attention (picanet web)."
    flags.DEFINE_bool("attention", False, help_)
    flags.DEFINE_bool("overwrite", False, "Replace --version if it is an export.")
    cli.path_flags("model", "output", "calibration_tfrecords")


def main(_) -> int:
    values = flags.FLAGS
    request = ExportRequest(
        Path(values.output),
        values.version,
        tuple(values.formats),
        tuple(values.quantize),
        values.image_size,
        values.overwrite,
        values.attention,
    )
    print(export(request, values.model, values.weights, values.calibration_tfrecords))
    return 0


def export(
    request: ExportRequest,
    model: str | None = None,
    weights: str | None = None,
    calibration_tfrecords: str | None = None,
) -> str:
    """Exports a trained network.

    Args:
        request: what to export, and where to.
        model, weights: see `inference.locate`.
        calibration_tfrecords: converted data set whose images calibrate int8.

    Returns:
        A printable summary of the files written.

    Raises:
        PicanetError: if the export fails; nothing is written then.
    """
    # Check everything possible before importing TensorFlow, which takes seconds.
    request.check(calibrated=bool(calibration_tfrecords))
    if calibration_tfrecords:
        with naming_argument("calibration_tfrecords"):
            load_manifest(calibration_tfrecords)
    with naming_argument("model"):
        found = locate(model, weights)
    found.require_network()

    from picanet_tf.serving import exporting, model_card

    calibration, images, compared = [], [], f"images of {calibration_tfrecords}"
    if calibration_tfrecords:
        calibration, images = split(read_photos(calibration_tfrecords))
    if not images:
        images = [read_image(path) for path in sample_photos()]
        compared = "sample photos"
    if "int8" in request.quantize:
        compared += ", and brighter and darker copies"
    folder, artefacts = exporting.export(
        load_model(found, engine="keras", precision="float32").network,
        request,
        images,
        calibration=calibration or None,
        facts=model_card.facts_of(found, weights or "model"),
    )
    lines = [f"{folder}, compared with the Keras model on {len(images)} {compared}:"]
    for name, size, difference, note in artefacts:
        size = f"{size / 1e6:7.1f} MB"
        lines.append(f"  {name:40} {size}  differs by {difference:.1e}  {note}")
    return "\n".join(lines)


def read_photos(tfrecords: str) -> list:
    """Returns images to calibrate and compare on, evenly spaced over the data set."""
    from data_pipeline.readers import read_originals, translate_errors

    # Only the images are used, so any kind of data set works.
    dataset = read_originals(tfrecords, load_manifest(tfrecords).kind)
    count = CALIBRATION_IMAGES + COMPARED_IMAGES
    picked = dataset.shard(max(1, len(dataset) // count), 0).take(count)
    with translate_errors(tfrecords):
        return [record["image"] for record in picked.as_numpy_iterator()]


if __name__ == "__main__":
    define_flags()
    cli.run(main)
