"""`assets/model_card.json`, the model card of an export."""

from __future__ import annotations

import datetime
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import in_utf8
from picanet_tf.inference.locate import Located
from picanet_tf.serving.decoding import MAX_PIXELS
from picanet_tf.serving.versions import MODEL_CARD
from picanet_tf.tasks.base import Validation
from picanet_tf.tasks.registry import get_task
from picanet_tf.training.phases import Phase
from picanet_tf.training.run_directory import RunDirectory, read_table

_LICENCE_NOTES = (
    "The code is under the Apache License 2.0. Weights are not covered by it alone: "
    "the encoder starts from a VGG16 trained on ImageNet, and the data sets of the "
    "field (DUTS, ECSSD and others) are distributed for research. Ask their owners "
    "before a commercial use of weights trained on them."
)
_PREPROCESSING = (
    "An upright RGB photo, 0..255, {resize}. Nothing else: channel order and means are "
    "part of the network."
)
_IMAGE_BYTES = {
    "formats": "JPEG, PNG, BMP (grey, 24 and 32 bits) and the first frame of a GIF",
    "max_pixels": MAX_PIXELS,
    "orientation": "EXIF orientation of JPEG and PNG is applied in the graph",
    "colour": "colour profiles are ignored: send sRGB photos",
    "depth": "16 bits per channel are reduced to the upper 8",
    "transparency": "PNG over white; transparent pixels of a GIF are black",
    "errors": "an image that cannot be decoded fails its whole batch with "
    "INVALID_ARGUMENT: let the server merge requests of serving_default only",
}


def facts_of(found: Located, weights: str) -> dict | None:
    """Returns the recorded facts about a model; None if there are none.

    Args:
        found: the model.
        weights: weights of a run, "model" or "best".
    """
    if found.run:
        return facts_of_run(found.run, weights)
    if found.preset:
        return {"preset": found.preset.name, **found.preset.card}
    return None


def facts_of_run(run: RunDirectory, weights: str) -> dict:
    """Returns the facts recorded in a run directory; None for unknown ones."""
    experiment = run.load_experiment()
    step = run.last_step
    rows = _rows(run.validation)
    scoring = get_task(experiment.task).validation(experiment.image_size)
    known = {
        "best": lambda: _best_of(_at_last_size(rows, experiment.phases), scoring),
        "model": lambda: next(row for row in reversed(rows) if row["step"] == step),
    }
    try:
        validation = known[weights]()
    except (KeyError, StopIteration, ValueError):
        validation = None
    if weights == "best":
        step = validation and validation["step"]
    return {
        "run": run.path.name,
        "weights": weights,
        "steps": step,
        "batch_size": experiment.batch_size,
        "training_set": run.recorded().get("training_set"),
        "backbone_weights": Path(experiment.backbone_weights).name,
        "validation_set": Path(experiment.validation_tfrecords).name or None,
        "validation": validation and _without_nan(validation),
        "trained_with": {
            package: run.recorded().get(package) for package in ("tensorflow", "keras")
        },
    }


def _at_last_size(rows: Sequence[Mapping], phases: Sequence[Phase]) -> list[Mapping]:
    """Returns the validations since the input's size changed, which forgets the best.

    A change after the last validation does not count: the best network is kept until
    the first validation at the new size.
    """
    last = rows[-1]["step"] if rows else 0
    changes = (
        before.last
        for before, phase in itertools.pairwise(phases)
        if before.image_size != phase.image_size and before.last < last
    )
    since = max(changes, default=0)
    return [row for row in rows if row["step"] > since]


def _best_of(rows: Sequence[Mapping], validation: Validation) -> Mapping:
    """Returns the scores of the best validation, the first of equals."""
    values = [(validation.criterion(row)[1], row) for row in rows]
    return max((v for v in values if not math.isnan(v[0])), key=lambda v: v[0])[1]


def _without_nan(scores: Mapping) -> dict:
    """Returns the scores with None for NaN, which JSON does not have."""
    return {name: None if math.isnan(v) else v for name, v in scores.items()}


def write_card(folder: Path, *, task: str, **values) -> Path:
    """Writes the card, which lists all files of an export and so is written last.

    Args:
        folder: folder of the version.
        task: name of the task.
        **values: further fields, which precede those common to all exports.

    Returns:
        The path of the card.
    """
    resize = get_task(task).serving.resize_description.format(
        side=values.get("image_size", "S")
    )
    now = datetime.datetime.now(datetime.timezone.utc)
    card = {
        "task": task,
        **values,
        "preprocessing": _PREPROCESSING.format(resize=resize),
        "image_bytes": _IMAGE_BYTES,
        "precision": "float32, whatever the network was trained with",
        "exported_with": _versions("picanet-tf", "tensorflow", "keras"),
        "exported": now.isoformat("T", "seconds"),
        "licence_notes": _LICENCE_NOTES,
    }
    path = folder / MODEL_CARD
    files = {file.relative_to(folder) for file in folder.rglob("*") if file.is_file()}
    card["files"] = sorted(file.as_posix() for file in {*files, MODEL_CARD})
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(card, indent=2, ensure_ascii=False)
    path.write_text(in_utf8(text) + "\n", "utf-8")
    return path


def _rows(path: Path) -> list[Mapping]:
    table = read_table(path)
    names = table[0][1:] if table else []
    try:
        return [
            {"step": int(step)}
            | {n: float(v) for n, v in zip(names, scores, strict=True) if v}
            for step, *scores in table[1:]
        ]
    except ValueError as error:
        raise PicanetError(f"{path} is damaged: {error}. Move it away") from error


def _versions(*packages: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
