"""How each task's results are scored and reported. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from picanet_tf.errors import PicanetError
from picanet_tf.reporting import folder_name
from picanet_tf.saliency import evaluation as saliency
from picanet_tf.saliency import gallery
from picanet_tf.saliency import reports as saliency_reports
from picanet_tf.saliency.sources import Method, baseline
from picanet_tf.segmentation import evaluation as segmentation
from picanet_tf.segmentation import reports as segmentation_reports
from picanet_tf.training.run_directory import replacing, write_text


@dataclass(frozen=True)
class Scoring:
    """What `evaluate.py` asks of a task.

    Attributes:
        evaluate: (samples and predictions, **settings) -> an evaluation.
        reports: module with `summarize`, `table`, `comparison`, `markdown`, `to_json`,
            `paper_variant` and `CONVENTIONS`.
        texts: evaluation -> (file name, text) of each of its tables.
        panels: {method: evaluation} -> (file name, column titles, rows).
        figures: ({method: evaluation}, title) -> (file name, figure).
        baselines: {name: true mask -> prediction} of methods that know no image.
    """

    evaluate: Callable
    reports: ModuleType
    texts: Callable
    panels: Callable
    figures: Callable
    baselines: Mapping[str, Callable]

    def baseline(self, name: str) -> Method:
        """One of `baselines` as a method; `PicanetError` where there is no such."""
        if name not in self.baselines:
            raise PicanetError(
                f"--baseline must be {', '.join(self.baselines)} for these data. "
                f"Received: {name}"
            )
        return baseline(name, self.baselines[name])


def _saliency_texts(evaluation) -> Iterator[tuple[str, str]]:
    yield "images.csv", saliency_reports.images_csv(evaluation)


SCORINGS = {
    "saliency": Scoring(
        evaluate=saliency.evaluate,
        reports=saliency_reports,
        texts=_saliency_texts,
        panels=gallery.panels,
        figures=gallery.figures,
        baselines={"center": lambda mask: saliency.center_map(*mask.shape)},
    ),
    "segmentation": Scoring(
        evaluate=segmentation.evaluate,
        reports=segmentation_reports,
        texts=segmentation_reports.texts,
        panels=segmentation_reports.panels,
        figures=segmentation_reports.figures,
        baselines={"background": segmentation.background},
    ),
}

BASELINES = [name for scoring in SCORINGS.values() for name in scoring.baselines]
CONVENTIONS = "\n".join(
    [scoring.reports.CONVENTIONS for scoring in SCORINGS.values()]
    + [
        "Baselines     center: one Gaussian for all images; background: no pixel has "
        "any\n              other class.\n"
    ]
)


def draw(scoring: Scoring, output: Path, title: str, found: dict) -> None:
    """Writes tables and pictures of what each method reached on one data set."""
    from picanet_tf.visualization import Row, save_panel

    folder = output / folder_name(title)
    for name, evaluation in found.items():
        own = folder / folder_name(name)
        own.mkdir(parents=True, exist_ok=True)
        for path, text in scoring.texts(evaluation):
            write_text(own / path, text)
    for path, columns, rows in scoring.panels(found):
        save_panel(folder / path, columns, [Row(*row) for row in rows], title)
    for path, figure in scoring.figures(found, title):
        with replacing(folder / path) as temporary:
            figure.savefig(temporary)
