"""The layout of a run directory. Does not import TensorFlow.

runs/20261123-141500-6GAP_5432AC/
    experiment.json     settings of the training
    provenance.json     versions, data fingerprint, start time
    checkpoints/        the last two checkpoints of the full training state
    model.keras         the network at the last checkpoint
    best.keras          the network at its best validation
    metrics.csv         one row every `log_interval` steps
    validation.csv      one row per validation
    skipped.csv         steps skipped by `--on_nonfinite skip`
    tensorboard/        the same as curves, and image panels
runs/latest             link to the newest run
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import datetime
import fcntl
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from absl import logging

from picanet_tf.core.directories import publishing
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import read_json, sync, write_json, write_text
from picanet_tf.training.experiments import Experiment

LATEST = Path("runs/latest")
WEIGHTS = ("model", "best")


def read_table(path: Path) -> list[list[str]]:
    """Returns the header and the rows of a run's table; [] if it does not exist.

    The last row is omitted if a power failure has truncated it.

    Raises:
        PicanetError: if a row does not begin with a step.
    """
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.reader(line for line in file if line.endswith("\n")))
    rows = [row for row in rows if len(row) == len(rows[0])]
    for row in rows[1:]:
        if not row[0].isdecimal():
            raise PicanetError(
                f"{path} is damaged: the row {','.join(row)} begins with no step. "
                "Delete the row, or move the file away"
            )
    return rows


@dataclass(frozen=True)
class RunDirectory:
    """The paths of a run; use `create` for a new run and `open` for an existing one.

    As an `os.PathLike`, it is accepted wherever the path of a run is.
    """

    path: Path

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    @classmethod
    def planned(cls, variant: str, path: str = "") -> RunDirectory:
        """Returns a directory that does not exist yet, by default named by date.

        Until it is created, another process may take the default name,
        `runs/<time>-<variant>`; `create` then takes the next one.
        """
        return cls(Path(path) if path else _new_directory(variant))

    @classmethod
    def create(cls, experiment: Experiment, path: str = "", **facts) -> RunDirectory:
        """Creates a run directory with the experiment atomically.

        Args:
            experiment: the experiment to train.
            path: the directory; by default the next free `runs/<time>-<variant>`, to
                which the link `runs/latest` then points.
            **facts: metadata of the run for `provenance.json`.

        Raises:
            PicanetError: if the directory exists or cannot be created.
        """
        planned = cls.planned(experiment.variant, path).path
        if not path:
            cls.check_latest()
        elif planned.exists():  # also if another process has created it just now
            raise PicanetError(
                f"The run directory {path} exists already. Give another `run`"
            )
        # Runs that start in the same second get different names.
        next_path = None if path else lambda: _new_directory(experiment.variant)
        with publishing(planned, argument="run", next_path=next_path) as staged:
            run = cls(staged.folder)
            write_text(run.experiment, experiment.to_json())
            write_json(run.provenance, facts)
        if not path:
            _point(LATEST, staged.published.name)
        return cls(staged.published)

    @staticmethod
    def check_new(path: str | os.PathLike) -> None:
        """Raises `PicanetError` if `path` exists."""
        if not Path(path).exists():
            return
        is_run = RunDirectory(Path(path)).experiment.is_file()
        resume = "`resume` to continue it, or " if is_run else ""
        raise PicanetError(
            f"The run directory {path} exists already. Give {resume}another `run`"
        )

    @staticmethod
    def check_latest() -> None:
        """Raises `PicanetError` if `runs/latest` exists and is not a link."""
        if LATEST.exists() and not LATEST.is_symlink():
            raise PicanetError(
                f"{LATEST} is not a symbolic link: move it away, or give `run`"
            )

    @classmethod
    def open(cls, path: str | os.PathLike) -> RunDirectory:
        """Finds an existing run directory.

        Raises:
            PicanetError: if `path` does not exist or contains no experiment.
        """
        # Not `Path.resolve`, which raises on circular links.
        linked = Path(path).is_symlink()
        run = cls(Path(os.path.realpath(path)) if linked else Path(path))
        if not run.path.is_dir():
            raise PicanetError(f"There is no run directory {path}")
        if not run.experiment.is_file():
            raise PicanetError(f"{path} is not a run directory: no experiment.json")
        return run

    def load_experiment(self) -> Experiment:
        return Experiment.load(self.experiment)

    @property
    def begun(self) -> bool:
        """Whether the run has reached a checkpoint; otherwise it can only restart."""
        written = any(self.checkpoints.glob("step-*.index"))
        return written or (self.path / "model.keras").exists()

    @property
    def finished(self) -> bool:
        """Whether the run has taken all its steps, or has stopped early."""
        step = self.last_step
        if step is None:
            return False
        if step >= self.load_experiment().steps:
            return True
        return step == self.recorded().get("stopped_early")

    @property
    def last_step(self) -> int | None:
        """Step of the newest checkpoint, and so of `model.keras`; None if none."""
        names = (path.stem for path in self.checkpoints.glob("step-*.index"))
        steps = (name.removeprefix("step-") for name in names)
        return max((int(step) for step in steps if step.isdecimal()), default=None)

    def record(self, **values) -> None:
        """Adds metadata of the run to `provenance.json`."""
        write_json(self.provenance, {**self.recorded(), **values})

    def record_move(self, **folders: str) -> None:
        """Records that data sets have moved, so that the run finds them again.

        Args:
            **folders: new folders, by the setting of `Experiment` that names the data
                set.
        """
        before = self.load_experiment()
        moves = [
            {"setting": name, "from": getattr(before, name), "to": folder}
            for name, folder in folders.items()
        ]
        self.record(moved=[*self.recorded().get("moved", []), *moves])
        write_text(self.experiment, dataclasses.replace(before, **folders).to_json())

    def recorded(self) -> dict:
        """Returns the contents of `provenance.json`; {} if it is missing."""
        return read_json(self.provenance) if self.provenance.exists() else {}

    @property
    def pretrained_layers(self) -> tuple[str, ...]:
        """The layers that began with trained weights, as recorded.

        Raises:
            PicanetError: if they are not recorded.
        """
        layers = self.recorded().get("pretrained_layers")
        if not isinstance(layers, list):
            raise PicanetError(
                f"{self.provenance} does not record the pretrained layers, whose "
                "learning rates differ, so the run cannot be resumed: restore the file"
            )
        return tuple(layers)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes of this machine from training in the directory.

        On file systems without locks, it does nothing.

        Raises:
            PicanetError: if another process does so already.
        """
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise PicanetError(
                f"Another process is training in {self.path}: wait for it, or stop it"
            ) from error
        except OSError:
            logging.debug("%s cannot be locked", self.path)
        try:
            yield
        finally:
            os.close(descriptor)

    def weights(self, which: str = "model") -> Path:
        """Returns the .keras file of the last (`model`) or the `best` checkpoint.

        Raises:
            PicanetError: if the run has not written it.
        """
        if which not in WEIGHTS:
            raise PicanetError(
                f"The weights must be one of {', '.join(WEIGHTS)}. Received: {which!r}"
            )
        path = self.path / f"{which}.keras"
        if not path.is_file():
            reason = "the training has not reached a checkpoint"
            if which == "best":
                reason = "no validation with a score has been reached"
                if not self.load_experiment().validation_tfrecords:
                    reason = "it was trained without a validation set"
            raise PicanetError(f"The run {self.path} has no {path.name}: {reason}")
        return path

    @property
    def experiment(self) -> Path:
        return self.path / "experiment.json"

    @property
    def provenance(self) -> Path:
        return self.path / "provenance.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def skipped(self) -> Path:
        return self.path / "skipped.csv"

    @property
    def validation(self) -> Path:
        return self.path / "validation.csv"


def _new_directory(variant: str) -> Path:
    name = f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{variant}"
    directory, number = Path("runs") / name, 1
    while directory.exists():
        number += 1
        directory = Path("runs") / f"{name}-{number}"
    return directory


def _point(link: Path, target: str) -> None:
    """Points a symbolic link at `target`, atomically."""
    temporary = link.with_name(f".latest.{socket.gethostname()}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, link)
    sync(link.parent)
