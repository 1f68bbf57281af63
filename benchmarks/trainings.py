"""Trains networks, scores them on a converted data set, and compares the scores."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np


def train(run: Path, **settings) -> None:
    """Calls `picanet_tf.train`; resumes a run that was begun, keeps a finished one."""
    import picanet_tf
    from picanet_tf.training.run_directory import RunDirectory

    begun = run.exists()
    if begun and RunDirectory.open(run).finished:
        return
    started = time.monotonic()
    picanet_tf.train(run=run, resume=begun, **settings)
    print(f"{run}: {time.monotonic() - started:.0f} s", flush=True)


def score(run: Path, test: str, precision: str):
    """Returns the evaluation of a run's network: max F and MAE of all images."""
    print(f"{run}: scoring", flush=True)
    return evaluate(list(_predict(run, test, precision)))


def _predict(run: Path, test: str, precision: str):
    from data_pipeline.kinds import MASK
    from data_pipeline.readers import read_originals
    from picanet_tf.evaluation.run import scoring_of
    from picanet_tf.evaluation.samples import Sample
    from picanet_tf.inference import load_model

    model = load_model(run, engine="keras", precision=precision)
    for record in read_originals(test, MASK).as_numpy_iterator():
        truth = scoring_of("saliency").truth_of(record)
        sample = Sample(record["key"].decode(), truth, None)
        yield sample, model.predict(record["image"])


def evaluate(predicted: list):
    from picanet_tf.saliency import evaluation

    return evaluation.evaluate(predicted, which=("max_f", "mae"), panel_images=0)


def _paired(pairs: list, score: str) -> tuple[float, float, float]:
    """Returns the mean over pairs of second - first, and its paired 95% interval."""
    from picanet_tf.evaluation.bootstrap import interval
    from picanet_tf.saliency.intervals import draw_scores

    draws = np.mean(
        [[draw_scores(each)[score] for each in pair] for pair in pairs], axis=0
    )
    first, second = _means(pairs, score)
    return second - first, *interval(draws[1] - draws[0])


def _means(pairs: list, score: str) -> list[float]:
    return np.mean(
        [[each.scores.scores[score] for each in pair] for pair in pairs], axis=0
    ).tolist()


def compared(name: str, pairs: list) -> dict:
    """Returns a row that compares pairs of evaluations of the same images.

    Args:
        name: name of the row.
        pairs: (first, second); differences are second minus first, the mean over pairs.
    """
    row = {"what": name}
    for score in ("max_f", "mae"):
        first, second = _means(pairs, score)
        difference, low, high = _paired(pairs, score)
        row[score], row[f"{score} of the other"] = f"{second:.4f}", f"{first:.4f}"
        row[f"{score}, difference"] = f"{difference:+.4f} [{low:+.4f} {high:+.4f}]"
    return row
