"""Scoring and reports of detections. Does not import TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from picanet_tf.detection import evaluation, reports, sources
from picanet_tf.evaluation.samples import DataSet, Method, Predicted
from picanet_tf.evaluation.scoring import Scoring
from picanet_tf.evaluation.sources import split_named_path


class DetectionScoring(Scoring):
    """Scores detections by the average precision of each class."""

    report = reports.DetectionReport()
    baselines = {"whole-image": "a box as large as the image for every class"}

    def truth_of(self, record: Mapping) -> evaluation.Truth:
        return evaluation.truth_of(record)

    def evaluate(self, predicted, *, pick=(), **_) -> evaluation.Evaluation:
        return evaluation.evaluate(predicted, pick=pick)

    def texts(self, evaluation) -> Iterator[tuple[str, str]]:
        return reports.texts(evaluation)

    def panels(self, evaluations: Mapping) -> Iterator[tuple]:
        """Yields `METHOD/worst.png` and `examples.png`."""
        yield from reports.worst_panels(evaluations)
        yield from super().panels(evaluations)

    def figures(self, evaluations: Mapping, title: str) -> Iterator[tuple]:
        return reports.figures(evaluations, title)

    def predict_baseline(self, name: str, truth):
        return evaluation.whole_image(truth)

    def predictions_on_disk(self, argument, list_images, read_truth) -> Method:
        """Detections in COCO's JSON format, or in a folder of VOC's text files."""
        name, path = split_named_path(argument)

        def check(data: DataSet) -> dict:
            return sources.by_key(sources.read(Path(path)), list(data.keys()), path)

        def predict(data: DataSet) -> Iterator[Predicted]:
            detections = check(data)
            for sample in data.samples():
                yield sample, detections[sample.name]

        return Method(name, predict, {"detections": path}, check=check)
