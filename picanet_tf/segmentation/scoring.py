"""How class maps are scored and reported. Imports no TensorFlow before it scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from picanet_tf.evaluation.samples import Method
from picanet_tf.evaluation.scoring import Scoring
from picanet_tf.evaluation.sources import maps_on_disk
from picanet_tf.segmentation import evaluation, reports


class SegmentationScoring(Scoring):
    """Class maps against the true ones, by mean intersection over union."""

    report = reports.SegmentationReport()
    baselines = {"background": "no pixel has any other class"}

    def truth_of(self, record: Mapping):
        return record["mask"][..., 0]

    def evaluate(self, predicted, *, pick=(), **_) -> evaluation.Evaluation:
        return evaluation.evaluate(predicted, pick=pick)

    def texts(self, evaluation) -> Iterator[tuple[str, str]]:
        return reports.texts(evaluation)

    def predict_baseline(self, name: str, truth):
        return evaluation.background(truth)

    def predictions_on_disk(self, argument, list_images, read_truth) -> Method:
        """Class maps in a folder, each of its true one's size."""
        return maps_on_disk(argument, list_images, read_truth, same_size=True)
