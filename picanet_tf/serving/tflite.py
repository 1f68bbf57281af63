"""Exports to TFLite with a free batch size and built-in operations only."""

from __future__ import annotations

import contextlib
import json
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from picanet_tf.inference.litert import SIGNATURE, LiteRTFile
from picanet_tf.layers import AttentionConvolution
from picanet_tf.models.base import Network
from picanet_tf.serving.attention import describe_attention
from picanet_tf.serving.metadata import add_metadata
from picanet_tf.serving.network import serving_network, with_outputs
from picanet_tf.serving.saved_model import write_out
from picanet_tf.tasks.base import Task

_DESCRIPTIONS = {
    "none": "float32 throughout",
    "float16": "weights stored as float16, computed in float32",
    "dynamic": "weights int8, activations quantized dynamically",
    "int8": "weights and activations int8, calibrated on real images; uint8 in and out",
}


def file_name(quantization: str, attention: bool = False) -> str:
    """Returns the name of an exported file, such as `picanet_dynamic.tflite`."""
    kind = "float32" if quantization == "none" else quantization
    return f"picanet_{kind}{'_attention' if attention else ''}.tflite"


def write_tflite(
    trained: Network,
    path: Path,
    quantization: str = "none",
    *,
    image_size: int | None = None,
    attention: bool = False,
    calibration: Iterable[np.ndarray] = (),
) -> None:
    """Converts a trained network to TFLite, with a JSON file describing its use.

    A file with one output contains the standard metadata as well, for Android's tools.

    Args:
        trained: a network built by `build_model`.
        path: file name ending in `.tflite`; the JSON has the same stem.
        quantization: one of `request.QUANTIZATIONS`.
        image_size: side of the input in pixels; defaults to the trained network's.
        attention: whether to also output the attention, `attention<attach point>`
            float32 [N, h, w, K*K] of each attentive module.
        calibration: images float32 [S, S, 3], RGB 0..255, for `"int8"`. Each is
            stretched to 0..255, so that the input's scale is 1 for any images.
    """
    task = trained.task
    # Unrolled: a loop needs TensorList operations, whose built-in versions require a
    # fixed batch size; either crashes the int8 calibrator.
    points = trained.attentive_points if attention else ()
    network = with_outputs(
        serving_network(trained, image_size, unroll=True, attention=attention),
        task.serving.output,
        *(f"attention{point.key}" for point in points),
    )
    one_image = _why_one_image(network)
    # In the folder of `path`, so that it is removed along with it after a failure.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        # Converting via a SavedModel, because variables of a live model are not found.
        shape = [1 if one_image else None, *network.input.shape[1:]]
        archive = keras.export.ExportArchive()
        archive.add_endpoint(
            SIGNATURE,
            lambda image: network(image, training=False),
            [tf.TensorSpec(shape, tf.float32, name="image")],
        )
        write_out(archive, folder)
        content = _converter(folder, quantization, calibration).convert()
    path.write_bytes(content)
    described = describe(path, quantization, task, one_image)
    if attention:
        described["attention"] = [
            describe_attention(point, network.output[f"attention{point.key}"].shape)
            for point in points
        ]
    else:
        labels = task.serving.labels
        if trained.config.classes not in (None, len(labels)):
            labels = ()  # The names of other classes are unknown.
        add_metadata(path, trained.name, described, labels)
    path.with_suffix(".json").write_text(json.dumps(described, indent=2) + "\n")


def _why_one_image(network: keras.Model) -> str | None:
    """Returns why the file is limited to one image at a time; None if it is not."""
    for layer in network.layers:
        if isinstance(layer, AttentionConvolution) and layer.strides > 1:
            return (
                f"the attention convolution {layer.name} has a stride; with a free "
                "batch size TensorFlow Lite cannot infer the size of its map"
            )
    return None


def _converter(folder: str, quantization: str, calibration):
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantization != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: (
            [image[np.newaxis]] for image in _with_full_range(calibration)
        )
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8
    return converter


def _with_full_range(images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Stretches each calibration image to 0..255.

    The converter takes the range of the input and of all activations from these images,
    and would clip photos that are brighter.
    """
    for image in images:
        image = np.array(image, np.float32)
        low, high = image.min(), image.max()
        if low < high:
            yield (image - low) / (high - low) * 255
        else:
            image[0, :2] = [[0], [255]]
            yield image


def describe(
    path: Path,
    quantization: str,
    task: Task,
    batch_reason: str | None = None,
) -> dict:
    """Describes the input and output of a TFLite file.

    Args:
        path: the file.
        quantization: one of `request.QUANTIZATIONS`.
        task: task of the network.
        batch_reason: why the file is limited to one image at a time; None if it is not.

    Returns:
        The contents of the JSON file. `batch` is `"any"` (the first dimension of the
        shapes is then the one before the input is resized), or 1 with `batch_reason`.
    """
    signature = _interpreter(path).get_signature_runner(SIGNATURE)
    (image,) = signature.get_input_details().items()
    output = signature.get_output_details()[task.serving.output]
    side = int(image[1]["shape"][1])
    return {
        "file": path.name,
        "quantization": _DESCRIPTIONS[quantization],
        "signature": SIGNATURE,
        "batch": 1 if batch_reason else "any",
        **({"batch_reason": batch_reason} if batch_reason else {}),
        "input": {
            **_tensor(*image),
            "content": "upright photos, RGB 0..255, rows top to bottom",
            "resize": task.serving.resize_description.format(side=side),
        },
        "output": {
            **_tensor(task.serving.output, output),
            "content": task.serving.output_description,
        },
    }


def _tensor(name: str, details) -> dict:
    scale, zero_point = details["quantization"]
    described = {
        "name": name,
        "dtype": np.dtype(details["dtype"]).name,
        "shape": [int(size) for size in details["shape"]],
    }
    if scale:
        described["value"] = "scale * (stored - zero_point)"
        described |= {"scale": float(scale), "zero_point": int(zero_point)}
    return described


def runner(
    path: Path, interpreter_class=None, num_threads: int | None = None
) -> LiteRTFile:
    """Loads a TFLite file, by default with TensorFlow's interpreter."""
    with _no_deprecation_warning():
        return LiteRTFile(path, num_threads, interpreter_class or tf.lite.Interpreter)


def _interpreter(path: Path) -> tf.lite.Interpreter:
    with _no_deprecation_warning():
        return tf.lite.Interpreter(str(path))


@contextlib.contextmanager
def _no_deprecation_warning():
    """Suppresses TensorFlow's deprecation warning for `tf.lite.Interpreter`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
