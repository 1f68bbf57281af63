"""A network as a TFLite file: one image at a time, built-in operations only."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from picanet_tf.networks import identify
from picanet_tf.serving.network import of_one_output, serving_network
from picanet_tf.serving.saved_model import write_out
from picanet_tf.tasks import TASKS, Task

SIGNATURE = "serving_default"

_SAID = {
    "none": "float32 throughout",
    "float16": "weights stored as float16, computed in float32",
    "dynamic": "weights int8, activations quantized as they come",
    "int8": "weights and activations int8, calibrated on real images; uint8 in and out",
}


def file_name(quantization: str) -> str:
    return f"picanet_{'float32' if quantization == 'none' else quantization}.tflite"


def write_tflite(
    trained: keras.Model,
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
        quantization: one of `order.QUANTIZATIONS`.
        image_size: side of the input in pixels; by default the trained one's.
        calibration: of `"int8"`: images float32 [S, S, 3], RGB 0..255.
    """
    # The calibrator of full integer dies of an LSTM that is a loop.
    unroll = quantization == "int8"
    task = identify(trained).task
    network = of_one_output(
        serving_network(trained, image_size, unroll=unroll, attention=False),
        task.served.output,
    )
    # On the disk where the result goes, and with it away if the export fails.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        # Of a live model the variables would not be found. A graph for any number of
        # images would need lists of tensors, for which there is no built-in operation.
        side = network.input.shape[1]
        archive = keras.export.ExportArchive()
        archive.add_endpoint(
            SIGNATURE,
            lambda image: network(image, training=False),
            [tf.TensorSpec([1, side, side, 3], tf.float32, name="image")],
        )
        write_out(archive, folder)
        content = _converter(folder, quantization, calibration).convert()
    path.write_bytes(content)
    described = describe(path, quantization, task)
    path.with_suffix(".json").write_text(json.dumps(described, indent=2) + "\n")


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


def describe(path: Path, quantization: str, task: Task = TASKS["saliency"]) -> dict:
    """How to feed a TFLite file, and what it gives."""
    signature = _interpreter(path).get_signature_runner(SIGNATURE)
    (image,) = signature.get_input_details().items()
    (output,) = signature.get_output_details().items()
    side = int(image[1]["shape"][1])
    return {
        "file": path.name,
        "quantization": _SAID[quantization],
        "signature": SIGNATURE,
        "input": {
            **_tensor(*image),
            "content": "one upright photo, RGB 0..255, rows top to bottom",
            "resize": task.served.resize.format(side=side),
        },
        "output": {
            **_tensor(*output),
            "content": task.served.content,
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
) -> Callable[[np.ndarray], np.ndarray]:
    """A TFLite file as a function.

    Args:
        path: the file.
        interpreter_class: `tf.lite.Interpreter`, the default, or ai-edge-litert's.
        num_threads: of the interpreter.

    Returns:
        A function from an image float32 [S, S, 3], RGB 0..255, to its map float32
        [S, S, C], or what else the task has; it quantizes and back where the file
        wants it.
    """
    interpreter = _interpreter(path, interpreter_class, num_threads)
    signature = interpreter.get_signature_runner(SIGNATURE)
    (image,) = signature.get_input_details().items()
    (output,) = signature.get_output_details().items()

    def run(pixels: np.ndarray) -> np.ndarray:
        values = _quantized(np.asarray(pixels, np.float32)[np.newaxis], image[1])
        result = signature(**{image[0]: values})[output[0]][0]
        scale, zero_point = output[1]["quantization"]
        return (
            np.float32(scale) * (np.float32(result) - zero_point) if scale else result
        )

    return run


def _interpreter(path, interpreter_class=None, num_threads=None):
    with warnings.catch_warnings():
        # That TensorFlow will drop its interpreter in favour of ai-edge-litert.
        warnings.simplefilter("ignore", UserWarning)
        return (interpreter_class or tf.lite.Interpreter)(
            str(path), num_threads=num_threads
        )


def _quantized(values, details):
    scale, zero_point = details["quantization"]
    if not scale:
        return values
    limits = np.iinfo(details["dtype"])
    stored = np.round(values / scale + zero_point)
    return stored.clip(limits.min, limits.max).astype(details["dtype"])
