"""A network as a TFLite file: any number of images, built-in operations only."""

from __future__ import annotations

import contextlib
import json
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from picanet_tf.inference.litert import SIGNATURE, LiteRTFile
from picanet_tf.layers import AttentionConvolution
from picanet_tf.models.base import Network
from picanet_tf.serving.network import serving_network, with_one_output
from picanet_tf.serving.saved_model import write_out
from picanet_tf.tasks.base import Task

_SAID = {
    "none": "float32 throughout",
    "float16": "weights stored as float16, computed in float32",
    "dynamic": "weights int8, activations quantized as they come",
    "int8": "weights and activations int8, calibrated on real images; uint8 in and out",
}


def file_name(quantization: str) -> str:
    return f"picanet_{'float32' if quantization == 'none' else quantization}.tflite"


def write_tflite(
    trained: Network,
    path: Path,
    quantization: str = "none",
    *,
    image_size: int | None = None,
    calibration: Iterable[np.ndarray] = (),
) -> None:
    """Converts a trained network; writes the file, and beside it how to feed it, JSON.

    Args:
        trained: a network of `build_model`.
        path: ends in `.tflite`; the JSON has the same name.
        quantization: one of `request.QUANTIZATIONS`.
        image_size: side of the input in pixels; by default the trained one's.
        calibration: of `"int8"`: images float32 [S, S, 3], RGB 0..255.
    """
    task = trained.task
    # A loop would keep its steps in a list of tensors, for which there is a built-in
    # operation of a fixed batch only; the calibrator of full integer dies of either.
    network = with_one_output(
        serving_network(trained, image_size, unroll=True, attention=False),
        task.serving.output,
    )
    one_image = _why_one_image(network)
    # On the disk where the result goes, and with it away if the export fails.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        # Of a live model the variables would not be found.
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
    path.with_suffix(".json").write_text(json.dumps(described, indent=2) + "\n")


def _why_one_image(network: keras.Model) -> str | None:
    """Why the file can take one image at a time only; None if it takes any number."""
    for layer in network.layers:
        if isinstance(layer, AttentionConvolution) and layer.strides > 1:
            return (
                f"the attention convolution {layer.name} has a stride; with a free "
                "batch TensorFlow Lite cannot tell the sides of its map"
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
            [np.float32(image)[np.newaxis]] for image in calibration
        )
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8
    return converter


def describe(
    path: Path,
    quantization: str,
    task: Task,
    batch_reason: str | None = None,
) -> dict:
    """How to feed a TFLite file, and what it gives.

    Args:
        path: the file.
        quantization: one of `request.QUANTIZATIONS`.
        task: whose network it is.
        batch_reason: why the file takes one image at a time; None if it takes any
            number.

    Returns:
        What goes into the JSON. `batch` is `"any"`, then the first size of the shapes
        is what the file has until its input is resized, or 1 with `batch_reason`.
    """
    signature = _interpreter(path).get_signature_runner(SIGNATURE)
    (image,) = signature.get_input_details().items()
    (output,) = signature.get_output_details().items()
    side = int(image[1]["shape"][1])
    return {
        "file": path.name,
        "quantization": _SAID[quantization],
        "signature": SIGNATURE,
        "batch": 1 if batch_reason else "any",
        **({"batch_reason": batch_reason} if batch_reason else {}),
        "input": {
            **_tensor(*image),
            "content": "upright photos, RGB 0..255, rows top to bottom",
            "resize": task.serving.resize_description.format(side=side),
        },
        "output": {
            **_tensor(*output),
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
    """A TFLite file as a function, by TensorFlow's own interpreter unless another."""
    with _no_farewell():
        return LiteRTFile(path, num_threads, interpreter_class or tf.lite.Interpreter)


def _interpreter(path: Path) -> tf.lite.Interpreter:
    with _no_farewell():
        return tf.lite.Interpreter(str(path))


@contextlib.contextmanager
def _no_farewell():
    """Without: TensorFlow will drop its interpreter in favour of ai-edge-litert."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
