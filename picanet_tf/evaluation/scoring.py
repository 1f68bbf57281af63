"""How a task's predictions are scored and reported. Imports no TensorFlow."""

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
    """What evaluation asks of a task; one subclass in each task's package.

    Attributes:
        report: what is said of the scores.
        baselines: {name: what it is} of methods that know no image.
    """

    report: ClassVar[Report]
    baselines: ClassVar[Mapping[str, str]] = {}

    @abc.abstractmethod
    def truth_of(self, record: Mapping):
        """The `Sample.truth` of a record.

        Args:
            record: {name: NumPy array}, as `data_pipeline.readers.read_originals` gives
                it.
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
            predicted: samples and predictions; taken one by one.
            pick: numbers of images, from 0, to keep as examples.
            normalize, which, workers: of maps, see `saliency.evaluation.evaluate`;
                other tasks have no use for them.

        Returns:
            The task's evaluation, which has `picked`, the examples.

        Raises:
            PicanetError: there is no image, or one cannot be scored; named.
        """

    @abc.abstractmethod
    def texts(self, evaluation) -> Iterator[tuple[str, str]]:
        """(file name, text) of each table of an evaluation."""

    def panels(self, evaluations: Mapping[str, object]) -> Iterator[tuple]:
        """Pictures as (file name, column titles, rows of (label, pictures)).

        By default `examples.png`, the images picked, all methods side by side.

        Args:
            evaluations: {method: evaluation} of one data set.
        """
        yield from draw_examples(evaluations)

    def figures(self, evaluations: Mapping[str, object], title: str) -> Iterable[tuple]:
        """Curves as (file name, matplotlib `Figure`); none by default."""
        return ()

    def predict_baseline(self, name: str, truth):
        """What a method that knows no image predicts, of the size of the truth."""
        raise NotImplementedError

    def baseline(self, name: str) -> Method:
        """One of `baselines` as a method; `PicanetError` where there is no such."""
        if name not in self.baselines:
            raise PicanetError(
                f"The baseline must be one of {', '.join(self.baselines)} for these "
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
        """The method whose predictions are on the disk: by default maps in a folder.

        Args:
            argument: `NAME=PATH`.
            list_images: the image files of a folder.
            read_truth: a file of ground truth -> array.
        """
        return maps_on_disk(argument, list_images, read_truth)


def draw_examples(evaluations: Mapping[str, object]) -> Iterator[tuple]:
    """`examples.png`: the images picked, as `Scoring.panels` gives pictures."""
    rows = []
    picked = (evaluation.picked for evaluation in evaluations.values())
    for examples in zip(*picked, strict=True):
        first, drawn = examples[0], [example.prediction for example in examples]
        rows.append((first.name, [first.image, first.truth, *drawn]))
    yield from panel_of("examples.png", list(evaluations), rows)


def panel_of(path: str, titles: list[str], rows: list) -> Iterator[tuple]:
    """A panel of (label, [image, truth, *predictions]); without images, without them.

    Args:
        path: file name.
        titles: of the predictions' columns.
        rows: none gives no panel.
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
    """Writes tables and pictures of what each method reached on one data set.

    Args:
        scoring: the task's.
        output: the report's folder; the data set gets one in it.
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
