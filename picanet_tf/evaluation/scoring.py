"""`Scoring`, the evaluation interface of a task. Does not import TensorFlow."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import replacing, write_text
from picanet_tf.drawing.panels import Row, save_panel
from picanet_tf.evaluation.reports import Report
from picanet_tf.evaluation.samples import DataSet, Method, Predicted
from picanet_tf.evaluation.sources import maps_on_disk
from picanet_tf.evaluation.tables import folder_name


class Scoring(abc.ABC):
    """Scores the predictions of a task; each task has a subclass.

    Attributes:
        report: the report on the scores.
        baselines: {name: description} of methods that ignore the image.
    """

    report: ClassVar[Report]
    baselines: ClassVar[Mapping[str, str]] = {}

    @abc.abstractmethod
    def truth_of(self, record: Mapping):
        """Returns the `Sample.truth` of a record.

        Args:
            record: {name: NumPy array} from `data_pipeline.readers.read_originals`.
        """

    @abc.abstractmethod
    def evaluate(
        self,
        predicted: Iterable[Predicted],
        *,
        pick: Iterable[int] = (),
        normalize: bool = True,
        which: Sequence[str] | None = None,
        workers: int = 0,
    ):
        """Scores predictions.

        Args:
            predicted: samples and predictions, consumed one by one.
            pick: indices (from 0) of images to keep as examples.
            normalize, which, workers: see `saliency.evaluation.evaluate`; ignored by
                other tasks.

        Returns:
            The task's evaluation, with the examples in `picked`.

        Raises:
            PicanetError: if there are no images, or one cannot be scored; the message
                names it.
        """

    @abc.abstractmethod
    def texts(self, evaluation) -> Iterator[tuple[str, str]]:
        """Yields (file name, text) of each table of an evaluation."""

    def panels(self, evaluations: Mapping[str, object]) -> Iterator[tuple]:
        """Yields panels as (file name, column titles, rows of (label, images)).

        By default `examples.png`, which shows the picked images with all methods.

        Args:
            evaluations: {method: evaluation} of one data set.
        """
        yield from draw_examples(evaluations)

    def figures(self, evaluations: Mapping[str, object], title: str) -> Iterable[tuple]:
        """Yields curves as (file name, matplotlib `Figure`); none by default."""
        return ()

    def predict_baseline(self, name: str, truth):
        """Returns the prediction of a baseline, at the size of the ground truth.

        Args:
            name: a key of `baselines`.
            truth: a `Sample.truth`.
        """
        raise NotImplementedError

    def baseline(self, name: str) -> Method:
        """Returns a baseline as a method; raises `PicanetError` if it is unknown."""
        if name not in self.baselines:
            raise PicanetError(
                f"`baseline` must be one of {', '.join(self.baselines)} for these "
                f"data. Received: {name}"
            )

        def predict(data: DataSet) -> Iterator[Predicted]:
            for sample in data.samples():
                yield sample, self.predict_baseline(name, sample.truth)

        return Method(name, predict, {"baseline": self.baselines[name]})

    def predictions_on_disk(
        self,
        argument: str,
        list_images: Callable[[Path], Sequence[Path]],
        read_truth: Callable | None,
    ) -> Method:
        """Returns a method with predictions on disk, by default maps in a folder.

        Args:
            argument: `NAME=PATH`.
            list_images: function that lists the image files of a folder.
            read_truth: function that reads a file in the format of the ground truth to
                an array; None for tasks whose ground truth is not an image.
        """
        return maps_on_disk(argument, list_images, read_truth)


def draw_examples(evaluations: Mapping[str, object]) -> Iterator[tuple]:
    """Yields `examples.png` with the picked images, as `Scoring.panels`."""
    rows = []
    picked = (evaluation.picked for evaluation in evaluations.values())
    for examples in zip(*picked, strict=True):
        first, drawn = examples[0], [example.prediction for example in examples]
        rows.append((first.name, [first.image, first.truth, *drawn]))
    yield from panel_of("examples.png", list(evaluations), rows)


def panel_of(path: str, titles: list[str], rows: list) -> Iterator[tuple]:
    """Yields a panel, without the column of images if there are none.

    Args:
        path: file name.
        titles: titles of the columns of predictions.
        rows: (label, [image, truth, *predictions]); nothing is yielded without rows.
    """
    if not rows:
        return
    if all(pictures[0] is None for _, pictures in rows):
        rows = [(label, pictures[1:]) for label, pictures in rows]
        yield path, ["ground truth", *titles], rows
    else:
        yield path, ["image", "ground truth", *titles], rows


def save_drawings(
    scoring: Scoring, output: Path, title: str, evaluations: Mapping[str, object]
) -> None:
    """Writes the tables and figures for one data set.

    Args:
        scoring: the task's `Scoring`.
        output: folder of the report; a subfolder is created for the data set.
        title: name of the data set.
        evaluations: {method: evaluation}.
    """
    folder = output / folder_name(title)
    for name, evaluation in evaluations.items():
        own = folder / folder_name(name)
        own.mkdir(parents=True, exist_ok=True)
        for path, text in scoring.texts(evaluation):
            write_text(own / path, text)
    for path, columns, rows in scoring.panels(evaluations):
        save_panel(folder / path, columns, [Row(*row) for row in rows], title)
    for path, figure in scoring.figures(evaluations, title):
        with replacing(folder / path) as temporary:
            figure.savefig(temporary)
