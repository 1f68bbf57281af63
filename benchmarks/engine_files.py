"""Creates the files for `benchmarks.engines`, in a separate process with TensorFlow.

    python -m benchmarks.engine_files FOLDER PHOTOS COUNT

Exports the default preset and the U-2-Nets to FOLDER, unless they exist, and writes
COUNT photos to PHOTOS. Prints {engine: [file or folder, megabytes on disk, remark]} as
JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.engine_runs import SAMPLES
from benchmarks.u2net import PLANS, write_u2net


def prepare(folder: Path) -> dict[str, list]:
    from picanet_tf.presets import default_preset

    preset = default_preset()
    litert, weights = preset.path("litert"), preset.path("weights")
    # Named by checksum, so that another preset gets another folder.
    base = folder / f"{preset.name}.{preset.files['weights'].sha256[:12]}"
    if not (base / "1").is_dir():
        _export(preset.name, base)
    version = base / "1"
    served = _megabytes(version / "saved_model.pb", version / "variables")
    onnx = version / "onnx" / "picanet.onnx"
    files = {
        "LiteRT": [preset.name, _megabytes(litert), "the preset's LiteRT file"],
        "Keras": [preset.name, _megabytes(weights), "the preset's weights"],
        "SavedModel": [str(version), served, ""],
        "onnxruntime": [str(onnx), _megabytes(onnx), ""],
        "OpenVINO": [str(onnx), _megabytes(onnx), "from the ONNX file"],
    }
    if refusal := _refusal_by_openvino(onnx):
        remark = f"from the SavedModel, as it refuses the ONNX file: {refusal}"
        files["OpenVINO"] = [str(version), served, remark]
    for name in PLANS:
        path = folder / f"{name}.onnx"
        if not path.exists():
            write_u2net(name, path)
        files[name] = [str(path), _megabytes(path), "random weights"]
    return files


def make_photos(folder: Path, count: int) -> None:
    """Writes `count` JPEGs of different sizes, about 1 MP: enlarged sample crops."""
    folder.mkdir()
    random = np.random.default_rng(0)
    samples = sorted(SAMPLES.iterdir())
    for number in range(count):
        with Image.open(samples[number % len(samples)]) as opened:
            photo = opened.convert("RGB")
        width, height = (round(side * random.uniform(0.7, 1)) for side in photo.size)
        left = random.integers(photo.width - width + 1)
        top = random.integers(photo.height - height + 1)
        scale = (random.uniform(0.8e6, 1.2e6) / (width * height)) ** 0.5
        photo = photo.resize(
            (round(scale * width), round(scale * height)),
            Image.Resampling.BICUBIC,
            box=(left, top, left + width, top + height),
        )
        photo.save(folder / f"photo{number:03}.jpg", quality=90)


def _export(preset: str, base: Path) -> None:
    from picanet_tf.core.images import list_images, read_image
    from picanet_tf.inference import load_model
    from picanet_tf.serving.exporting import export
    from picanet_tf.serving.request import ExportRequest

    export(
        load_model(preset, engine="keras", precision="float32").network,
        ExportRequest(base, 1, ("saved_model", "onnx")),
        [read_image(path) for path in list_images(SAMPLES)],
    )


def _refusal_by_openvino(path: Path) -> str:
    """Returns why OpenVINO cannot run a file; "" if it can."""
    import openvino

    try:
        compiled = openvino.Core().compile_model(str(path), "CPU")
        _, *shape = compiled.input(0).partial_shape
        compiled(np.zeros([1, *(size.get_length() for size in shape)], np.float32))
    except RuntimeError as error:
        return " ".join(str(error).split())[-200:]
    return ""


def _megabytes(*paths: Path) -> float:
    files = [file for path in paths for file in (path, *path.rglob("*"))]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


if __name__ == "__main__":
    folder, photos, count = sys.argv[1:]
    make_photos(Path(photos), int(count))
    print(json.dumps(prepare(Path(folder))))
