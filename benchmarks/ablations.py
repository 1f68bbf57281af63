"""Ablates parts of a trained network without retraining.

    python -m benchmarks.ablations runs/ac data/duts runs/ablated
    python evaluate.py --model runs/ac,runs/ablated/uniform,... --tfrecords data/ecssd

Writes these runs, to be compared with the original by `evaluate.py`:

statistics   the norms' moving statistics re-estimated as the mean over 30 batches of 4
uniform      uniform attention in GAP, position-independent mean attention in AC and LAP
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np

BATCHES, BATCH = 30, 4


def main(run: str, tfrecords: str, output: str) -> None:
    from data_pipeline.readers import read_masks
    from picanet_tf.models.weights import load_keras
    from picanet_tf.training.run_directory import RunDirectory

    source = RunDirectory.open(run)
    size = source.load_experiment().image_size
    images = read_masks(
        tfrecords, training=True, seed=1, batch_size=BATCH, image_size=size
    )
    images = [batch for batch, _ in images.take(BATCHES)]
    for name, change in {"statistics": renew_statistics, "uniform": level}.items():
        model = load_keras(source.weights())
        change(model, images)
        folder = Path(output) / name
        folder.mkdir(parents=True)
        for path in (source.experiment, source.provenance):
            shutil.copy(path, folder)
        model.save(folder / "model.keras")
        print(folder, flush=True)


def renew_statistics(model, images) -> None:
    """Re-estimates moving mean and variance as plain means over the batches."""
    import tensorflow as tf

    from picanet_tf.layers import BatchNormalization, Dropout

    layers = list(model._flatten_layers())
    norms = [layer for layer in layers if isinstance(layer, BatchNormalization)]
    for layer in layers:
        if isinstance(layer, Dropout):
            layer.rate = 0.0
    for norm in norms:
        norm.momentum = 1.0
        norm.collected_weight.assign(0.0)
    step = tf.function(lambda batch: model(batch, training=True))
    for batch in images:
        step(batch)


def level(model, images) -> None:
    """Removes the position dependence of all attention."""
    from picanet_tf.inference import AttentionModel, KerasModel

    attentive = AttentionModel(KerasModel(model))
    means = {key: [] for key in attentive.points}
    for image in np.concatenate(images[:10]).astype(np.uint8):
        for key, attention in attentive.predict(image).attention.items():
            means[key].append(attention.mean((0, 1)))
    for key, point in attentive.points.items():
        norm = model.get_layer(point.layer).get_logits_layer().norm
        mean = np.mean(means[key], axis=0)
        logits = {
            "GAP": 0.0, "LAP": np.log(mean), "AC": np.log(mean / (1 - mean)),
        }[point.kind]  # fmt: skip
        norm.gamma.assign(np.zeros(norm.gamma.shape))
        norm.beta.assign(np.broadcast_to(logits, norm.beta.shape))


if __name__ == "__main__":
    main(*sys.argv[1:])
