"""Compares a preset's two engines, and its int8 weights with the full weights.

    python -m benchmarks.preset IMAGES MASKS [--weights FULL.npz] [--model NAME]

Compares LiteRT and Keras with the preset's files, and Keras with the full weights, on
the same photos: differences of the maps from those of Keras with the preset's files (at
the photos' size, 0..1), max F of the mean PR curve and MAE of maps rescaled to 0..1.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.common import report

# Bins of the histogram of differences, from which the 99.9th percentile is read.
_BINS = 100_000


def main(images: str, masks: str, weights: str | None, name: str | None) -> None:
    from data_pipeline.pairs import pair_by_name
    from picanet_tf.core.images import read_image, read_mask
    from picanet_tf.evaluation.samples import Sample
    from picanet_tf.inference import KerasModel, load_model
    from picanet_tf.presets import default_preset, find_preset
    from picanet_tf.saliency.evaluation import evaluate

    preset = find_preset(name) if name else default_preset()
    models = {
        "Keras, int8 weights": load_model(
            preset.name, engine="keras", precision="float32"
        ),
        "LiteRT": load_model(preset.name, engine="litert"),
    }
    if weights:
        models["Keras, full weights"] = KerasModel(network_of(preset, weights))
    pairs, bad = pair_by_name(images, masks)
    if bad or not pairs:
        raise SystemExit(f"{images} and {masks}: {len(pairs)} pairs, bad: {bad[:3]}")
    predicted = {key: [] for key in models}
    counts = {key: np.zeros(_BINS + 1, np.int64) for key in models}
    largest = dict.fromkeys(models, 0.0)
    for pair in pairs:
        sample = Sample(pair.key, read_mask(pair.truth), read_image(pair.image))
        maps = {key: model.predict(sample.image) for key, model in models.items()}
        first = next(iter(maps.values()))
        for key, found in maps.items():
            predicted[key].append((sample._replace(image=None), found))
            off = np.abs(found - first)
            largest[key] = max(largest[key], float(off.max()))
            counts[key] += np.bincount(
                np.int64(off.ravel() * _BINS), minlength=_BINS + 1
            )
    rows = []
    for key, found in predicted.items():
        which = ("max_f", "mae")
        scores = evaluate(found, which=which, panel_images=0).scores.scores
        share = counts[key].cumsum() / counts[key].sum()
        mean = (counts[key] * (np.arange(_BINS + 1) + 0.5)).sum() / counts[key].sum()
        rows.append(
            {
                "engine": key,
                "mean difference": 0.0 if largest[key] == 0 else float(mean / _BINS),
                "99.9th percentile": float(np.searchsorted(share, 0.999) / _BINS),
                "largest": largest[key],
                "max F": f"{scores['max_f']:.4f}",
                "MAE": f"{scores['mae']:.4f}",
                "images": len(found),
            }
        )
    report("preset", rows)


def network_of(preset, weights: str):
    """Builds the preset's network with the weights of an `.npz` by variable path."""
    from picanet_tf.models.weights import assign_weights
    from picanet_tf.presets.arrays import read_arrays
    from picanet_tf.saliency import build_model

    network = build_model(weights=preset.name, dropout=0.0)
    # Only the weights of moving averages may be missing, which prediction does not use.
    transfer = assign_weights(read_arrays(weights), network, weights, partial=True)
    if transfer.unexpected or transfer.mismatched:
        raise SystemExit(f"{weights} is no {preset.variant}: {transfer}")
    return network


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images")
    parser.add_argument("masks")
    parser.add_argument("--weights")
    parser.add_argument("--model")
    given = parser.parse_args()
    main(given.images, given.masks, given.weights, given.model)
