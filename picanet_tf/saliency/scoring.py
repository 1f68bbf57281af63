"""How saliency maps are scored and reported. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from picanet_tf.evaluation.scoring import Scoring
from picanet_tf.saliency import curves, evaluation
from picanet_tf.saliency.reports import SaliencyReport, images_csv


class SaliencyScoring(Scoring):
    """Maps against masks, by the field's own metrics; see `metrics`."""

    report = SaliencyReport()
    baselines = {
        "center": "one Gaussian for all images, sigma "
        f"{evaluation.CENTER_SIGMA} of each side"
    }

    def truth_of(self, record: Mapping):
        return record["mask"][..., 0]

    def evaluate(self, predicted, **settings) -> evaluation.Evaluation:
        return evaluation.evaluate(predicted, **settings)

    def texts(self, evaluation) -> Iterator[tuple[str, str]]:
        yield "images.csv", images_csv(evaluation)

    def panels(self, evaluations: Mapping) -> Iterator[tuple]:
        """`METHOD/worst.png` and `METHOD/best.png` of each, and `examples.png`."""
        yield from curves.ranked_panels(evaluations)
        yield from super().panels(evaluations)

    def figures(self, evaluations: Mapping, title: str):
        """Curves of precision over recall and of F, a line a method (Fig. 6)."""
        yield "pr_curve.png", curves.pr_figure(evaluations, title)
        yield "f_curve.png", curves.f_figure(evaluations, title)

    def predict_baseline(self, name: str, truth):
        return evaluation.center_map(*truth.shape)
