"""The data sets of an experiment: validation, provenance and batched reading."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_pipeline.manifest import Manifest, load_manifest
from picanet_tf.core.errors import PicanetError, naming_argument
from picanet_tf.tasks.registry import get_spec
from picanet_tf.training.experiments import Experiment

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class Batches:
    """The data of a training, as functions that read it.

    Attributes:
        training: (start step, share=(worker, workers), image_size=S) -> infinite
            batches (image float32 [N, S, S, 3] RGB 0..255, ground truth), the same as
            an uninterrupted run reads from that step on; S is the experiment's if not
            given. N is the worker's share of the images of a step, `batch_size /
            workers`.
        validation: (image_size=S) -> the validation batches, each image once; None
            without a validation set.
        keys: step (from 0) -> the names of the records in that step's batch.
        fingerprint: fingerprint of the data, which must be equal on all workers.
    """

    training: Callable[..., tf.data.Dataset]
    validation: Callable[[], tf.data.Dataset] | None = None
    keys: Callable[[int], list[str]] = lambda step: ["unknown"]
    fingerprint: str = ""


class TrainingData:
    """The training and validation sets of an experiment.

    TensorFlow is imported once the manifests have been checked.

    Args:
        experiment: specifies the data sets and how to read them.
        skip_corrupt: number of corrupt records to skip per data set.
        recorded: provenance of the run to resume; the data sets must be unchanged.
        moved: {setting: (old folder, new folder)} of data sets that have moved since.

    Attributes:
        experiment: the experiment; another one must have the same data sets.
        manifest: manifest of the training set.
        validation_manifest: manifest of the validation set, or None.

    Raises:
        PicanetError: if a data set is missing, is of the wrong kind for the task, has
            changed since the run began, or has too many corrupt records.
    """

    def __init__(
        self,
        experiment: Experiment,
        skip_corrupt: int = 0,
        recorded: Mapping = {},
        moved: Mapping[str, tuple[str, str]] = {},
    ):
        self.experiment = experiment
        folders = experiment.tfrecords, experiment.validation_tfrecords
        self._folders = [folder for folder in folders if folder]
        kind = get_spec(experiment.task).record_kind
        manifests = []
        for argument in ("tfrecords", "validation_tfrecords"):
            with naming_argument(argument):
                folder = getattr(experiment, argument)
                manifests.append(load_manifest(folder) if folder else None)
                if folder:
                    manifests[-1].check_kind(kind)
        self.manifest, self.validation_manifest = manifests
        described = self.describe().items()
        for (name, now), folder in zip(described, folders, strict=True):
            _check_unchanged(name, folder, now, recorded)

        from data_pipeline import corrupt, readers

        left_out = _move(recorded.get("left_out", {}), moved)
        self._clean = corrupt.leave_out_corrupt(folders, skip_corrupt, left_out)
        self._read = self._clean.redirect(readers.READERS[kind])

    @property
    def _options(self) -> dict[str, int]:
        return {
            "batch_size": self.experiment.batch_size,
            "image_size": self.experiment.image_size,
        }

    @property
    def left_out(self) -> Mapping[str, list[str]]:
        """{data set: a line for each skipped corrupt record}."""
        return self._clean.left_out

    def describe(self) -> dict[str, dict | None]:
        """Returns the description of the data sets for `provenance.json`."""
        return {
            "training_set": _describe(self.manifest),
            "validation_set": _describe(self.validation_manifest),
        }

    def read_training(self, start_step: int, share=(0, 1), **options):
        """Returns infinite batches from a step on, see `trainer.Batches.training`."""
        return self._read(
            self.experiment.tfrecords,
            training=True,
            random_scale=self.experiment.random_scale,
            seed=self.experiment.seed,
            start_step=start_step,
            share=share,
            **{**self._options, **options},
        )

    def read_keys(self, step: int) -> list[str]:
        """Returns the names of the records in the batch of a step, counted from 0."""
        batch = next(iter(self.read_training(step, with_keys=True)))
        return [os.fsdecode(key) for key in batch[-1].numpy()]

    def read_validation(self, **options):
        """Returns the validation batches, limited to `validation_images`."""
        images, size = self.experiment.validation_images, self.experiment.batch_size
        folder = self.experiment.validation_tfrecords
        dataset = self._read(folder, training=False, **{**self._options, **options})
        if not images:
            return dataset
        batches = dataset.take(-(-images // size)).enumerate()
        return batches.map(
            lambda index, batch: tuple(part[: images - index * size] for part in batch)
        )

    def check_first_batches(self) -> None:
        """Reads a batch of each data set.

        Raises:
            DatasetError: if that fails.
        """
        for folder in self._folders:
            with self.translate_errors(folder):
                next(iter(self._read(folder, training=False, **self._options)))

    @contextlib.contextmanager
    def translate_errors(self, *folders: str) -> Iterator[None]:
        """Context manager that converts TensorFlow's errors to `DatasetError`.

        Args:
            *folders: the data sets that are read inside it; all by default.
        """
        from data_pipeline import readers

        with readers.translate_errors(*(folders or self._folders)):
            yield

    def batches(self) -> Batches:
        """Returns the `Batches` for a `Trainer`."""
        return Batches(
            self.read_training,
            self.read_validation if self.validation_manifest else None,
            self.read_keys,
            self.manifest.fingerprint,
        )


def _describe(manifest: Manifest | None) -> dict | None:
    return manifest and {
        "name": manifest.name,
        "count": manifest.count,
        "fingerprint": manifest.fingerprint,
    }


def _check_unchanged(
    name: str, folder: str, now: dict | None, recorded: Mapping
) -> None:
    before = recorded.get(name)
    if before and before != now:
        then, found = map(_in_words, (before, now))
        difference = f"it was {then}, now it is {found}"
        if then == found:
            difference = f"it is still {found}, but with other contents"
        raise PicanetError(
            f"The {name.replace('_', ' ')} {folder} has changed since the run began: "
            f"{difference}. Restore the old data, or start a new run with `init_from`"
        )


def _in_words(described: Mapping | None) -> str:
    return "none" if not described else "{name} of {count} images".format(**described)


def _move(
    left_out: Mapping[str, list[str]], moved: Mapping[str, tuple[str, str]]
) -> dict[str, list[str]]:
    """Replaces the old folders of data sets in the list of their corrupt records."""
    folders = dict(moved.values())
    return {
        folders.get(folder, folder): [
            line.replace(str(Path(folder)), str(Path(folders.get(folder, folder))), 1)
            for line in lines
        ]
        for folder, lines in left_out.items()
    }
