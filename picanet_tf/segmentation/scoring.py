"""Scoring and reports of class maps. TensorFlow is imported only for scoring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from picanet_tf.evaluation.samples import Method
from picanet_tf.evaluation.scoring import Scoring
from picanet_tf.evaluation.sources import maps_on_disk
from picanet_tf.segmentation import evaluation, reports


class SegmentationScoring(Scoring):
    """Scores class maps by mean intersection over union."""

    report = reports.SegmentationReport()
    baselines = {"background": "predicts background for every pixel"}

    def truth_of(self, record: Mapping):
        return record["mask"][..., 0]

    def evaluate(self, predicted, *, pick=(), **_) -> evaluation.Evaluation:
        return evaluation.evaluate(predicted, pick=pick)

    def texts(self, evaluation) -> Iterator[tuple[str, str]]:
        return reports.texts(evaluation)

    def predict_baseline(self, name: str, truth):
        return evaluation.background(truth)

    def predictions_on_disk(self, argument, list_images, read_truth) -> Method:
        """Class maps in a folder, each with the size of its ground truth."""
        return maps_on_disk(argument, list_images, read_truth, same_size=True)
