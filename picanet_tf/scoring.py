"""How each task's results are scored and reported. Imports no TensorFlow."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from picanet_tf.class_reports import ClassReport, examples
from picanet_tf.core.files import replacing, write_text
from picanet_tf.detection import evaluation as detection
from picanet_tf.detection import reports as detection_reports
from picanet_tf.detection import sources as detection_sources
from picanet_tf.errors import PicanetError
from picanet_tf.reporting import folder_name
from picanet_tf.saliency import evaluation as saliency
from picanet_tf.saliency import gallery
from picanet_tf.saliency import reports as saliency_reports
from picanet_tf.saliency.sources import (
    DataSet,
    Method,
    baseline,
    maps_on_disk,
    named_path,
)
from picanet_tf.segmentation import evaluation as segmentation
from picanet_tf.segmentation import reports as segmentation_reports


@dataclass(frozen=True)
class Scoring:
    """What `evaluate.py` asks of a task.

    Attributes:
        truth: {name: numpy array} of a record -> what a sample has as its `mask`.
        evaluate: (samples and predictions, **settings) -> an evaluation.
        reports: has `summarize`, `table`, `comparison`, `markdown`, `to_json` and
            `paper_variant`.
        texts: evaluation -> (file name, text) of each of its tables.
        panels: {method: evaluation} -> (file name, column titles, rows).
        figures: ({method: evaluation}, title) -> (file name, figure).
        baselines: {name: true mask -> prediction} of methods that know no image.
        on_disk: (`NAME=PATH`, lister of images, reader of masks) -> the method whose
            predictions are there.
    """

    truth: Callable
    evaluate: Callable
    reports: ModuleType | ClassReport
    texts: Callable
    panels: Callable
    figures: Callable
    baselines: Mapping[str, Callable]
    on_disk: Callable = maps_on_disk

    def baseline(self, name: str) -> Method:
        """One of `baselines` as a method; `PicanetError` where there is no such."""
        if name not in self.baselines:
            raise PicanetError(
                f"--baseline must be {', '.join(self.baselines)} for these data. "
                f"Received: {name}"
            )
        return baseline(name, self.baselines[name])


def _mask(record: Mapping):
    return record["mask"][..., 0]


def _detections_on_disk(flag: str, *_) -> Method:
    name, path = named_path(flag)

    def found(data: DataSet) -> dict:
        read = detection_sources.read(Path(path))
        return detection_sources.by_key(read, list(data.keys()), path)

    def predict(data: DataSet) -> Iterator[tuple]:
        detections = found(data)
        for sample in data.samples():
            yield sample, detections[sample.name]

    return Method(name, predict, {"detections": path}, check=found)


def _saliency_texts(evaluation) -> Iterator[tuple[str, str]]:
    yield "images.csv", saliency_reports.images_csv(evaluation)


SCORINGS = {
    "saliency": Scoring(
        truth=_mask,
        evaluate=saliency.evaluate,
        reports=saliency_reports,
        texts=_saliency_texts,
        panels=gallery.panels,
        figures=gallery.figures,
        baselines={"center": lambda mask: saliency.center_map(*mask.shape)},
    ),
    "segmentation": Scoring(
        truth=_mask,
        evaluate=segmentation.evaluate,
        reports=segmentation_reports.REPORT,
        texts=segmentation_reports.texts,
        panels=examples,
        figures=lambda found, title: (),
        baselines={"background": segmentation.background},
        on_disk=functools.partial(maps_on_disk, same_size=True),
    ),
    "detection": Scoring(
        truth=detection.truth_of,
        evaluate=detection.evaluate,
        reports=detection_reports.REPORT,
        texts=detection_reports.texts,
        panels=detection_reports.panels,
        figures=detection_reports.figures,
        baselines={"whole-image": detection.whole_image},
        on_disk=_detections_on_disk,
    ),
}

BASELINES = [name for scoring in SCORINGS.values() for name in scoring.baselines]
CONVENTIONS = "\n".join(
    [
        saliency_reports.CONVENTIONS,
        segmentation_reports.CONVENTIONS,
        detection_reports.CONVENTIONS,
        "Baselines     center: one Gaussian for all images; background: no pixel has "
        "any\n              other class; whole-image: every class, a box as large as "
        "the image.\n",
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
