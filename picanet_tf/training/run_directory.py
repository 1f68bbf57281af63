"""A run directory: what a run leaves on disk, and where. Imports no TensorFlow.

runs/20261123-141500-6GAP_5432AC/
    experiment.json     what was trained, and how
    provenance.json     versions, data fingerprint, start
    checkpoints/        the training's whole state, the last two
    model.keras         the network, as of the last checkpoint
    best.keras          the network at its best validation
    metrics.csv         one row every `log_interval` steps
    validation.csv      one row a validation
    tensorboard/        the same as curves, and image panels
runs/latest             the newest of them
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from dataclasses import dataclass
from pathlib import Path

from picanet_tf.errors import PicanetError
from picanet_tf.training.experiments import Experiment

WEIGHTS = ("model", "best")


@dataclass(frozen=True)
class RunDirectory:
    """The paths of one run. `create` makes a new one, `open` finds an existing one."""

    path: Path

    @classmethod
    def create(cls, experiment: Experiment, path: str = "") -> RunDirectory:
        """Makes a run directory and writes the experiment into it.

        Args:
            experiment: what will be trained.
            path: the directory; by default `runs/<time>-<variant>`, and `runs/latest`
                is pointed at it.

        Raises:
            PicanetError: the directory exists.
        """
        directory = Path(path) if path else _fresh_directory(experiment.variant)
        if directory.exists():
            raise PicanetError(
                f"The run directory {directory} exists already. Give --resume to "
                "continue it, or another --run"
            )
        directory.mkdir(parents=True)
        run = cls(directory)
        write_text(run.experiment, experiment.to_json())
        if not path:
            _point(directory.parent / "latest", directory.name)
        return run

    @classmethod
    def open(cls, path: str | os.PathLike) -> RunDirectory:
        """Finds an existing run directory.

        Raises:
            PicanetError: there is none at `path`, or it holds no experiment.
        """
        # Not `Path.resolve`, which raises where links go in a circle.
        linked = Path(path).is_symlink()
        run = cls(Path(os.path.realpath(path)) if linked else Path(path))
        if not run.path.is_dir():
            raise PicanetError(f"There is no run directory {path}")
        if not run.experiment.is_file():
            raise PicanetError(f"{path} is not a run directory: no experiment.json")
        return run

    def load_experiment(self) -> Experiment:
        return Experiment.load(self.experiment)

    def record(self, **values) -> None:
        """Adds facts about the run to `provenance.json`."""
        write_json(self.provenance, {**self.recorded(), **values})

    def recorded(self) -> dict:
        """What `record` has written so far."""
        try:
            recorded = json.loads(self.provenance.read_text())
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError) as error:
            raise PicanetError(f"{self.provenance} is not JSON: {error}") from error
        if not isinstance(recorded, dict):
            raise PicanetError(f"{self.provenance} must hold a JSON object")
        return recorded

    def weights(self, which: str = "model") -> Path:
        """The .keras file, of the last checkpoint (`model`) or the `best` one.

        Raises:
            PicanetError: the run has not written it.
        """
        if which not in WEIGHTS:
            raise PicanetError(
                f"A run keeps the weights {', '.join(WEIGHTS)}. Received: {which!r}"
            )
        path = self.path / f"{which}.keras"
        if not path.is_file():
            reason = (
                "the training has not reached a checkpoint"
                if which == "model"
                else "it was trained without --validation_tfrecords"
            )
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
    def validation(self) -> Path:
        return self.path / "validation.csv"


@contextlib.contextmanager
def replacing(path: Path):
    """Yields a temporary path beside `path`, renamed to it when all went well.

    The temporary name keeps the suffix, which says the format to many a writer.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text)


def write_json(path: Path, values) -> None:
    write_text(path, json.dumps(values, indent=2) + "\n")


def _fresh_directory(variant: str) -> Path:
    name = f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{variant}"
    directory, number = Path("runs") / name, 1
    while directory.exists():
        number += 1
        directory = Path("runs") / f"{name}-{number}"
    return directory


def _point(link: Path, target: str) -> None:
    """Points the symbolic link at `target`, in one step."""
    if link.exists() and not link.is_symlink():
        raise PicanetError(f"{link} is no symbolic link: move it away, or give --run")
    temporary = link.with_name(f".latest.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, link)
