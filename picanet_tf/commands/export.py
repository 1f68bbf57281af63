"""Exports a trained network: SavedModel for TF Serving, TFLite, ONNX.

    picanet export                        the default model to export/picanet/1/
    picanet export --model runs/x --formats saved_model,tflite --quantize none,dynamic
    picanet export --formats tflite --quantize int8 --calibration_tfrecords data/duts

Each artefact is read back and compared with the Keras model on real images: samples
that come along, or those of the calibration set. A version appears whole or not at all.
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from data_pipeline.manifest import load_manifest
from picanet_tf.core import cli
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import read_image
from picanet_tf.inference import load_model, locate
from picanet_tf.inference.locate import DESCRIPTION, Located
from picanet_tf.presets.samples import sample_photos
from picanet_tf.serving.request import FORMATS, QUANTIZATIONS, ExportRequest
from picanet_tf.training.run_directory import WEIGHTS

POSITIONAL = ""
CALIBRATION_IMAGES = 64
COMPARED_IMAGES = 8


def define_flags() -> None:
    text, whole, words = flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_list
    text("model", None, DESCRIPTION)
    flags.DEFINE_enum(
        "weights", None, WEIGHTS, "Of a run: the last checkpoint (model), or best."
    )
    text("output", "export/picanet", "The folder of the versions.")
    whole("version", None, "The version's number; by default the next one.")
    words("formats", "saved_model", f"Some of {', '.join(FORMATS)}, with commas.")
    words(
        "quantize",
        "none",
        f"Of TFLite, a file each: some of {', '.join(QUANTIZATIONS)}, with commas. "
        "none is float32, dynamic has int8 weights, int8 is all of it and needs "
        "--calibration_tfrecords.",
    )
    whole(
        "image_size",
        None,
        "Side of the input in pixels, one that picanet train takes; by default the "
        "run's.",
    )
    text(
        "calibration_tfrecords",
        None,
        f"Directory of a data set; {CALIBRATION_IMAGES} of its images calibrate int8.",
    )
    flags.DEFINE_bool("overwrite", False, "Replace --version if it exists.")


def main(_) -> int:
    values = flags.FLAGS
    if values["quantize"].present and "tflite" not in values.formats:
        raise PicanetError("--quantize goes with --formats tflite only")
    request = ExportRequest(
        Path(values.output),
        values.version,
        tuple(values.formats),
        tuple(values.quantize),
        values.image_size,
        values.overwrite,
    )
    print(export(request, values.model, values.weights, values.calibration_tfrecords))
    return 0


def export(
    request: ExportRequest,
    model: str | None = None,
    weights: str | None = None,
    calibration_tfrecords: str | None = None,
) -> str:
    """Exports a trained network; gives the lines that tell what was written.

    Args:
        request: what to write, and where to.
        model, weights: of `inference.locate`.
        calibration_tfrecords: a data set whose images calibrate int8.

    Raises:
        PicanetError: nothing was exported; says why.
    """
    # All that can be looked at before TensorFlow is imported, which takes seconds.
    request.check(calibrated=bool(calibration_tfrecords))
    if calibration_tfrecords:
        load_manifest(calibration_tfrecords)
    found = locate(model, weights)
    found.require_network()

    from picanet_tf.serving import exporting

    calibration = calibration_tfrecords and read_calibration(calibration_tfrecords)
    images = calibration or [read_image(path) for path in sample_photos()]
    images = images[:COMPARED_IMAGES]
    folder, artefacts = exporting.export(
        load_model(found, engine="keras").network,
        request,
        images,
        calibration=calibration or None,
        facts=_facts(found, weights or "model"),
    )
    lines = [f"{folder}, compared with the Keras model on {len(images)} images:"]
    for name, size, difference, note in artefacts:
        size = f"{size / 1e6:7.1f} MB"
        lines.append(f"  {name:32} {size}  differs by {difference:.1e}  {note}")
    return "\n".join(lines)


def _facts(found: Located, weights: str) -> dict | None:
    from picanet_tf.serving import model_card

    if found.run:
        return model_card.facts_of_run(found.run, weights)
    if found.preset:
        return {"preset": found.preset.name, **found.preset.card}
    return None


def read_calibration(tfrecords: str) -> list:
    """Images of a data set, evenly spread over it."""
    from data_pipeline.readers import read_originals

    # The images alone are wanted: those of any kind of data set will do.
    dataset = read_originals(tfrecords, load_manifest(tfrecords).kind)
    step = max(1, len(dataset) // CALIBRATION_IMAGES)
    picked = dataset.shard(step, 0).take(CALIBRATION_IMAGES)
    return [record["image"] for record in picked.as_numpy_iterator()]


if __name__ == "__main__":
    define_flags()
    cli.run(main)
