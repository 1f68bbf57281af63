"""`evaluate`, which scores methods on data sets and writes the report.

Unlike the rest of this package, it imports `inference` and `data_pipeline`; only the
command and `picanet_tf` import it.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from absl import logging
from tqdm import tqdm

from data_pipeline import kinds
from data_pipeline.class_maps import read_class_map
from data_pipeline.listing import list_files
from data_pipeline.manifest import load_manifest
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import sha256_of, write_json, write_text
from picanet_tf.core.images import read_mask
from picanet_tf.core.path_checks import check_folder, check_writable
from picanet_tf.evaluation import sources
from picanet_tf.evaluation.options import METRICS, EvaluateOptions
from picanet_tf.evaluation.samples import DataSet, Method, Sample
from picanet_tf.evaluation.scoring import Scoring, save_drawings
from picanet_tf.inference import Located, load_model, locate
from picanet_tf.inference.locate import LATEST
from picanet_tf.tasks.registry import get_spec, load, specs_of_kind, task_names

# {record kind: reader of predictions in image files}; boxes are not stored as images
READERS = {kinds.MASK: read_mask, kinds.CLASS_MAP: read_class_map}
_WORTH_WORKERS = 50  # images
_MAX_LOADED = 4  # Models that are kept in memory.


def scoring_of(task: str) -> Scoring:
    """Returns the `Scoring` of a task.

    Raises:
        PicanetError: if there is no such task.
    """
    return load(get_spec(task).scoring_class)


def evaluate(*, show: Callable[[str], object] = lambda text: None, **options) -> dict:
    """Scores every method on every data set.

    Args:
        show: called with each table when it is ready, and with the comparison.
        **options: fields of `EvaluateOptions`.

    Returns:
        The report, as in `report.json`: `["datasets"][name]` has the scores of the
        first method, and in `["methods"][method]` those of each.

    Raises:
        PicanetError: if the data sets have different kinds, a method does not support a
            data set, or an image cannot be scored; the message names it.

    Example:
        >>> report = evaluate(tfrecords="data/ecssd", models="runs/latest")
        >>> report["datasets"]["ECSSD"]["max_f"]
        0.871
    """
    return _Evaluation(EvaluateOptions(**options), show).run()


class _Evaluation:
    def __init__(self, options: EvaluateOptions, show: Callable[[str], object]):
        self._options = options
        self._show = show
        self._task = self._find_task()
        self._scoring = scoring_of(self._task)
        self._read_map = READERS.get(get_spec(self._task).record_kind)
        # Between the check and scoring, and from one data set to the next.
        self._load = functools.lru_cache(maxsize=_MAX_LOADED)(self._load_model)

    def run(self) -> dict:
        data_sets, methods = self._data_sets(), self._methods()
        output, report = self._options.output, self._scoring.report
        folder = check_writable(check_folder(output)) if output else None
        for method in methods:
            for data in data_sets:
                method.check(data)
        results: list = []
        drawings: dict[str, dict[str, object]] = {}
        for data in data_sets:
            evaluations = {
                method.name: self._score(method, data, results) for method in methods
            }
            self._show(report.table(results[-len(methods) :]))
            drawings[data.name] = evaluations if folder else {}
        if len(results) > 1:
            self._show(report.comparison(results))
        found = report.to_json(results)
        if folder:  # Written last, so that an error leaves nothing behind.
            for name, evaluations in drawings.items():
                save_drawings(self._scoring, folder, name, evaluations)
            write_json(folder / "report.json", found)
            write_text(folder / "report.md", report.markdown(results))
            logging.info("The report is in %s", folder)
        return found

    def _find_task(self) -> str:
        """Returns the task to score: one that trains on this kind of data.

        Among several tasks, it is that of the first model whose task is known without
        loading it, otherwise the first in the registry.
        """
        folders = self._options.tfrecords
        found = {load_manifest(folder).kind for folder in folders}
        if self._options.masks or not found:
            found.add(kinds.MASK)
        if len(found) > 1:
            several = " and ".join(sorted(kinds.PLURALS[kind] for kind in found))
            raise PicanetError(
                f"The data sets contain {several}: score them separately"
            )
        tasks = [spec.name for spec in specs_of_kind(found.pop())]
        if len(tasks) > 1:
            models = self._options.models
            named = (_task_of(locate(m, self._options.weights)) for m in models)
            return next((task for task in named if task in tasks), tasks[0])
        return tasks[0]

    def _data_sets(self) -> list[DataSet]:
        options = self._options
        masks, images = options.masks, options.images or [None] * len(options.masks)
        names = options.names or [Path(mask).resolve().parent.name for mask in masks]
        if not len(images) == len(names) == len(masks):
            raise PicanetError(
                "`images` and `name` must be given as often as `masks`. Received: "
                f"{len(images)}, {len(names)} and {len(masks)} times"
            )
        for option in ("mask_suffix", "invert_masks"):
            if getattr(options, option) and not masks:
                raise PicanetError(f"`{option}` is for `masks`, which are not given")
        folders = options.tfrecords
        found = [self._tfrecord_data_set(folder) for folder in folders]
        found += [
            sources.folder_data_set(
                *each, mask_suffix=options.mask_suffix, invert=options.invert_masks
            )
            for each in zip(names, images, masks, strict=True)
        ]
        if not found:
            raise PicanetError("No data set: give `tfrecords`, or `masks` and `images`")
        sources.check_unique([data.name for data in found], "data sets")
        return found

    def _tfrecord_data_set(self, folder: str) -> DataSet:
        manifest, scoring = load_manifest(folder), self._scoring

        def keys():
            from data_pipeline import readers

            with readers.translate_errors(folder):
                yield from readers.read_keys(folder)

        def samples():
            from data_pipeline import readers

            with readers.translate_errors(folder):
                records = readers.read_originals(folder, manifest.kind)
                for record in records.as_numpy_iterator():
                    key = os.fsdecode(record["key"])
                    yield Sample(key, scoring.truth_of(record), record["image"])

        facts = {"tfrecords": folder, "fingerprint": manifest.fingerprint}
        return DataSet(manifest.name, manifest.count, keys, samples, facts)

    def _methods(self) -> list[Method]:
        options, scoring = self._options, self._scoring
        models = options.models
        found = [self._network(model) for model in models]
        found += [
            scoring.predictions_on_disk(argument, list_files, self._read_map)
            for argument in options.predictions
        ]
        if options.baseline:
            found.append(scoring.baseline(options.baseline))
        if not found:
            default = None if self._task == task_names()[0] else str(LATEST)
            found = [self._network(default)]
        return sources.name_uniquely(found)

    def _network(self, model: str | None) -> Method:
        options = self._options
        found = locate(model, options.weights)
        name, variant, facts = found.name, None, {"model": found.name}
        if found.run:
            step = found.run.last_step or "unknown"
            facts |= {"weights": options.weights or "model", "last_step": step}
            experiment = found.run.load_experiment()
            variant = self._scoring.report.paper_variant(experiment)
            folder = os.path.basename(os.path.abspath(found.name))
            name = f"{variant} ({folder})"
        elif not found.preset:
            name = Path(found.name).stem
        facts["sha256"] = sha256_of(found.file(options.engine))

        def predict_arrays():
            model = self._load(found)
            if model.precision:
                facts["precision"] = model.precision
            return lambda images: model.predict_arrays(images, options.batch_size)

        return sources.network(name, predict_arrays, facts, variant)

    def _load_model(self, found: Located):
        options = self._options
        names = ("engine", "threads", "precision")
        model = load_model(found, **{name: getattr(options, name) for name in names})
        task = model.spec.name
        if task != self._task:
            raise PicanetError(
                f"`model` {found.name} is a {task} network, but the data are for "
                f"{self._task}"
            )
        return model

    def _score(self, method: Method, data: DataSet, results: list) -> object:
        options = self._options
        started, title = time.monotonic(), f"{method.name}, {data.name}"
        with tqdm(method.predict(data), title, data.count, unit="image") as predicted:
            evaluation = self._scoring.evaluate(
                predicted,
                normalize=options.normalize,
                which=METRICS[options.metrics],
                workers=options.workers if data.count > _WORTH_WORKERS else 0,
                pick=sources.spread_evenly(data.count, options.grid_images),
            )
        seconds = time.monotonic() - started
        result = self._scoring.report.summarize(evaluation, method, data, seconds)
        results.append(result)
        return evaluation


def _task_of(found: Located) -> str | None:
    """Returns the task of a preset or run, or None for a file that is not loaded."""
    if found.preset:
        return found.preset.task
    return found.run.load_experiment().task if found.run else None


def baselines() -> Mapping[str, str]:
    """Returns {name: description} of the baselines of all tasks."""
    found: dict[str, str] = {}
    for task in task_names():
        found |= scoring_of(task).baselines
    return found


def conventions() -> str:
    """Returns the description of the scores of all tasks, for `--help`."""
    texts = [scoring_of(task).report.conventions for task in task_names()]
    described = "; ".join(f"{name}: {what}" for name, what in baselines().items())
    return "\n".join([*texts, f"Baselines     {described}"])
