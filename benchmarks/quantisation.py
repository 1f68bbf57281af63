"""Measures the effect of quantisation on quality, size and time.

    python export.py --model RUN --output OUT --formats tflite \
        --quantize none,float16,dynamic,int8 --calibration_tfrecords data/duts
    python -m benchmarks.quantisation RUN OUT/1 data/ecssd 100

Compares every TFLite file of a version with the Keras model, on images spread over a
data set not used for calibration: difference of the maps (at the network's size, 0..1),
max F and MAE (at the masks' size), file size, and inference time of one photo relative
to Keras, interleaved. Uses TensorFlow's interpreter and ai-edge-litert.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.common import report


def main(run: str, version: str, tfrecords: str, count: str = "100") -> None:
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    from picanet_tf.inference import load_model
    from picanet_tf.saliency.evaluation import evaluate
    from picanet_tf.serving.request import QUANTIZATIONS
    from picanet_tf.serving.tflite import file_name, runner

    model = load_model(run, engine="keras", precision="float32")
    keras_map = tf.function(
        lambda images: tf.sigmoid(model.network(images, training=False)["stage1"])
    )
    runs = {("Keras", ""): lambda image: keras_map(image[np.newaxis])[0].numpy()}
    sizes = {("Keras", ""): model.network.count_params() * 4}
    for quantization in QUANTIZATIONS:
        path = Path(version) / "tflite" / file_name(quantization)
        for name, kind in (("tf.lite", tf.lite.Interpreter), ("litert", Interpreter)):
            if path.is_file():
                runs[quantization, name] = runner(path, kind, num_threads=2)
                sizes[quantization, name] = path.stat().st_size
    samples = read_samples(tfrecords, int(count))
    maps = {key: [] for key in runs}
    times = {key: [] for key in runs}
    for sample in samples:
        small = model.resize(sample.image)
        for key, run_one in runs.items():
            start = time.perf_counter()
            maps[key].append(run_one(small))
            times[key].append(time.perf_counter() - start)
    rows = []
    for key, found in maps.items():
        differences = np.abs(np.array(found) - np.array(maps["Keras", ""]))
        own_size = (
            (s, tf.image.resize(m, s.truth.shape, method="bilinear").numpy()[..., 0])
            for s, m in zip(samples, found, strict=True)
        )
        scores = evaluate(
            own_size, which=("max_f", "mae"), panel_images=0
        ).scores.scores
        rows.append(
            {
                "network": key[0],
                "interpreter": key[1],
                "MB": sizes[key] / 1e6,
                "largest": float(differences.max()),
                "mean": float(differences.mean()),
                "max F": f"{scores['max_f']:.4f}",
                "MAE": f"{scores['mae']:.4f}",
                "time / Keras": float(
                    np.median(times[key]) / np.median(times["Keras", ""])
                ),
                "images": len(samples),
            }
        )
    report("quantisation", rows)


def read_samples(tfrecords: str, count: int) -> list:
    from data_pipeline.kinds import MASK
    from data_pipeline.readers import read_originals
    from picanet_tf.evaluation.samples import Sample

    dataset = read_originals(tfrecords, MASK)
    step = max(1, len(dataset) // count)
    return [
        Sample(record["key"].decode(), record["mask"][..., 0], record["image"])
        for record in dataset.shard(step, 0).take(count).as_numpy_iterator()
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
