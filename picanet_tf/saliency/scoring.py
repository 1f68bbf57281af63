"""Scoring and reports of saliency maps. Does not import TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from picanet_tf.evaluation.scoring import Scoring
from picanet_tf.saliency import curves, evaluation
from picanet_tf.saliency.reports import SaliencyReport, images_csv


class SaliencyScoring(Scoring):
    """Scores maps against masks with the common metrics of the field, see `metrics`."""

    report = SaliencyReport()
    baselines = {
        "center": "a centred Gaussian, the same for all images, with sigma "
        f"{evaluation.CENTER_SIGMA} of each side"
    }

    def truth_of(self, record: Mapping):
        return record["mask"][..., 0]

    def evaluate(self, predicted, **settings) -> evaluation.Evaluation:
        return evaluation.evaluate(predicted, **settings)

    def texts(self, evaluation) -> Iterator[tuple[str, str]]:
        yield "images.csv", images_csv(evaluation)

    def panels(self, evaluations: Mapping) -> Iterator[tuple]:
        """Yields `METHOD/worst.png`, `METHOD/best.png` and `examples.png`."""
        yield from curves.ranked_panels(evaluations)
        yield from super().panels(evaluations)

    def figures(self, evaluations: Mapping, title: str):
        """Yields PR and F curves with one line per method (Fig. 6)."""
        yield "pr_curve.png", curves.pr_figure(evaluations, title)
        yield "f_curve.png", curves.f_figure(evaluations, title)

    def predict_baseline(self, name: str, truth):
        return evaluation.center_map(*truth.shape)
