"""Runs one engine in a fresh process, for `benchmarks.engines`.

    python -m benchmarks.engine_runs ENGINE FILE THREADS REPEATS
    python -m benchmarks.engine_runs ENGINE FILE THREADS --maps OUTPUT.npz

Prints as JSON the seconds from the first import to the first map, the seconds of each
further map, the peak resident memory in bytes and the precision; or writes the maps of
all sample photos. Maps are computed from the photo's file, at the photo's size.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.common import ROOT, median_seconds, peak_memory

SAMPLES = ROOT / "samples" / "images"
PHOTO = SAMPLES / "astronaut.png"
IMPORT = "import tensorflow"


def tensorflow_alone(_file: str, threads: int):
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    return tf


def litert(preset: str, threads: int) -> tuple[Callable, str]:
    from picanet_tf.inference import load_model

    model = load_model(preset, engine="litert", threads=threads)
    return model.predict, "int8 weights"


def keras(preset: str, threads: int) -> tuple[Callable, str]:
    from picanet_tf.inference import load_model

    return load_model(
        preset, engine="keras", precision="float32", threads=threads
    ).predict, "float32"


def saved_model(folder: str, threads: int) -> tuple[Callable, str]:
    tf = tensorflow_alone("", threads)
    loaded = tf.saved_model.load(folder)
    run = loaded.signatures["serving_default"]
    side = run.structured_input_signature[1]["image"].shape[1]

    def infer(batch):
        # `loaded` owns the variables.
        return loaded and run(image=tf.constant(batch))["saliency"].numpy()

    return _predict(infer, side), "float32"


def onnxruntime(path: str, threads: int) -> tuple[Callable, str]:
    session = _session(path, threads)
    (image,) = session.get_inputs()

    def infer(batch):
        return session.run(None, {image.name: batch})[0]

    return _predict(infer, image.shape[1]), "float32"


def openvino(path: str, threads: int) -> tuple[Callable, str]:
    from openvino import Core

    core = Core()
    model = core.read_model(path)
    side = model.input(0).partial_shape[1].get_length()
    # A free batch size would make it a tenth slower, unlike onnxruntime.
    model.reshape([1, side, side, 3])
    compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": threads})
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    names = {"f32": "float32", "bf16": "bfloat16"}
    return (
        _predict(lambda batch: compiled(batch)[0], side),
        names.get(precision, precision),
    )


def u2net(path: str, threads: int) -> tuple[Callable, str]:
    """Runs U-2-Net with rembg's pre- and postprocessing."""
    import numpy as np
    from PIL import Image

    session = _session(path, threads)
    (image,) = session.get_inputs()
    side = image.shape[-1]
    mean, deviation = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])

    def predict(path):
        photo = Image.open(path).convert("RGB")
        pixels = np.array(photo.resize((side, side), Image.Resampling.LANCZOS))
        pixels = (pixels / max(pixels.max(), 1e-6) - mean) / deviation
        batch = pixels.transpose(2, 0, 1)[np.newaxis].astype(np.float32)
        # All seven maps, as rembg requests them.
        small = session.run(None, {image.name: batch})[0][0, 0]
        small = (small - small.min()) / (small.max() - small.min())
        mask = Image.fromarray((small * 255).astype(np.uint8))
        return mask.resize(photo.size, Image.Resampling.LANCZOS)

    return predict, "float32"


ENGINES: dict[str, Callable] = {
    "LiteRT": litert,
    "Keras": keras,
    "SavedModel": saved_model,
    "onnxruntime": onnxruntime,
    "OpenVINO": openvino,
    "u2net": u2net,
    "u2netp": u2net,
}


def _session(path: str, threads: int):
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = threads
    return InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _predict(infer: Callable, side: int) -> Callable:
    """Wraps a network as a function of a photo's path, like picanet_tf's engines."""
    from picanet_tf.inference.base import Model
    from picanet_tf.tasks.registry import get_spec

    model = Model(get_spec("saliency"), side)
    model.infer = infer
    return model.predict


def measure(engine: str, file: str, threads: int, repeats: int) -> dict:
    start = time.perf_counter()
    if engine == IMPORT:
        tensorflow_alone(file, threads)
        return {"cold": time.perf_counter() - start, "peak": peak_memory()}
    predict, precision = ENGINES[engine](file, threads)
    predict(PHOTO)
    cold = time.perf_counter() - start
    return {
        "cold": cold,
        "each": median_seconds(lambda: predict(PHOTO), repeats, warm_up=0),
        "peak": peak_memory(),
        "precision": precision,
    }


def write_maps(engine: str, file: str, threads: int, output: Path) -> None:
    import numpy as np

    predict, _ = ENGINES[engine](file, threads)
    np.savez(output, **{path.stem: predict(path) for path in sorted(SAMPLES.iterdir())})


if __name__ == "__main__":
    engine, file, threads, *rest = sys.argv[1:]
    if rest[0] == "--maps":
        write_maps(engine, file, int(threads), Path(rest[1]))
        print("{}")
    else:
        print(json.dumps(measure(engine, file, int(threads), int(rest[0]))))
