"""The data sets of an experiment: checked, remembered, and read as batches."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

from data_pipeline import kinds
from data_pipeline.manifest import Manifest, load_manifest
from picanet_tf.core.errors import DatasetError, PicanetError
from picanet_tf.tasks.registry import get_spec
from picanet_tf.training.experiments import Experiment


class TrainingData:
    """What a training learns from and is validated on.

    Imports TensorFlow when it first reads, not before.

    Args:
        experiment: names the data sets, and how they are read.
        skip_corrupt: corrupt records of each that are left out.
        recorded: of a run that goes on, what it has recorded; the data sets must be
            those that it began with.

    Attributes:
        manifest, validation_manifest: of the data sets; the latter None without one.

    Raises:
        PicanetError: a data set that is missing, of another kind than the task's,
            changed since the run began, or has too many corrupt records.
    """

    def __init__(
        self, experiment: Experiment, skip_corrupt: int = 0, recorded: Mapping = {}
    ):
        self._experiment = experiment
        folders = experiment.tfrecords, experiment.validation_tfrecords
        self._folders = [folder for folder in folders if folder]
        kind = get_spec(experiment.task).record_kind
        self.manifest, self.validation_manifest = (
            folder and load_manifest(folder) or None for folder in folders
        )
        for manifest in filter(None, (self.manifest, self.validation_manifest)):
            if manifest.kind != kind:
                raise DatasetError(
                    f"{manifest.folder}: holds {kinds.PLURALS[manifest.kind]}, "
                    f"{kinds.PLURALS[kind]} are wanted"
                )
        for name, described in self.describe().items():
            _check_unchanged(name, described, recorded)

        from data_pipeline import corrupt, readers

        self._clean = corrupt.leave_out_corrupt(
            folders, skip_corrupt, recorded.get("left_out", {})
        )
        self._read = self._clean.redirect(readers.READERS[kind])
        self._options = {
            "batch_size": experiment.batch_size,
            "image_size": experiment.image_size,
        }

    @property
    def left_out(self) -> Mapping[str, list[str]]:
        """{data set: a line for each corrupt record left out}."""
        return self._clean.left_out

    def describe(self) -> dict[str, dict | None]:
        """What a run remembers of its data sets."""
        return {
            "training_set": _describe(self.manifest),
            "validation_set": _describe(self.validation_manifest),
        }

    def read_training(self, start_step: int, share=(0, 1), **options):
        """Endless batches from a step on, see `trainer.Batches.training`."""
        return self._read(
            self._experiment.tfrecords,
            training=True,
            seed=self._experiment.seed,
            start_step=start_step,
            share=share,
            **self._options,
            **options,
        )

    def read_keys(self, step: int) -> list[str]:
        """The names of the records in the batch of a step, from 0."""
        batch = next(iter(self.read_training(step, with_keys=True)))
        return [os.fsdecode(key) for key in batch[-1].numpy()]

    def read_validation(self):
        """The validation set's batches, as many as the experiment asks for."""
        experiment = self._experiment
        batches = -(-experiment.validation_images // experiment.batch_size) or -1
        folder = experiment.validation_tfrecords
        return self._read(folder, training=False, **self._options).take(batches)

    def check_first_batches(self) -> None:
        """Reads a batch of each data set; `DatasetError` where it cannot."""
        for folder in self._folders:
            with self.translate_errors(folder):
                next(iter(self._read(folder, training=False, **self._options)))

    @contextlib.contextmanager
    def translate_errors(self, *folders: str) -> Iterator[None]:
        """Turns what TensorFlow says of a bad record into a `DatasetError`.

        Args:
            *folders: the data sets that are read inside; all by default.
        """
        from data_pipeline import readers

        with readers.translate_errors(*(folders or self._folders)):
            yield

    def batches(self):
        """What a `Trainer` reads."""
        from picanet_tf.training.trainer import Batches

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


def _check_unchanged(name: str, now: dict | None, recorded: Mapping) -> None:
    before = recorded.get(name)
    if before and before != now:
        raise PicanetError(
            f"The {name.replace('_', ' ')} has changed since the run began: it was "
            f"{before}, now it is {now}. Bring the old data back, or start a new run "
            "with `init_from`"
        )
