"""Progress output, tables and TensorBoard logs of a training."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from picanet_tf.core.files import cannot_write, write_text
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.run_directory import RunDirectory, read_table


class Listener:
    """Base class for objects that display or record training events."""

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        """Called after each step with its losses."""

    def on_skip(self, step: int, names: list[str], keys: list[str]) -> None:
        """Called when a step is skipped.

        Args:
            step: number of the step.
            names: what was not finite.
            keys: names of the records in the batch.
        """

    def on_validation(self, step: int, scores: dict[str, float]) -> None:
        """Called after each validation with its scores."""

    def on_panels(self, step: int, panels: list[np.ndarray]) -> None:
        """Called with images of sample predictions."""

    def on_end(self) -> None:
        """Called when all steps are done, before the last checkpoint."""

    def close(self) -> None:
        """Called last, also when the training fails."""


class ProgressBar(Listener):
    """Shows a progress bar with the loss, steps per second and remaining time."""

    def __init__(self, start: int, steps: int):
        self._bar = tqdm(
            desc="training",
            initial=start,
            total=steps,
            unit="step",
            dynamic_ncols=True,
            # Update rarely when the output is a log file.
            mininterval=0.2 if sys.stderr.isatty() else 30,
        )

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        self._bar.set_postfix(loss=f"{logs['loss']:.4f}", refresh=False)
        self._bar.update()

    def on_skip(self, step: int, names: list[str], keys: list[str]) -> None:
        self._bar.update()

    def on_validation(self, step: int, scores: dict[str, float]) -> None:
        written = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        self._bar.write(f"step {step}: validation {written}", file=sys.stderr)

    def close(self) -> None:
        self._bar.close()


class TableWriter:
    """Appends rows to a CSV file whose first column is the step.

    Args:
        path: the file; an existing one is continued.
        start: the restored step of a resumed run; rows after it are dropped.

    Attributes:
        path: the file.
        rows: number of rows so far, without the header.

    Raises:
        PicanetError: if a row of the file does not begin with a step.
    """

    def __init__(self, path: Path, start: int):
        self.path = path
        self._columns: list[str] = []
        self.rows = 0
        if table := read_table(path):
            self._columns, *rows = table
            rows = [row for row in rows if int(row[0]) <= start]
            self.rows = len(rows)
            self._rewrite(rows)

    def _rewrite(self, rows: list[list[str]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self._columns, *rows])
        write_text(self.path, text.getvalue())

    def write(self, step: int, values: dict[str, float | str]) -> None:
        """Appends a row and flushes it to disk.

        Raises:
            PicanetError: if it cannot be written.
        """
        try:
            self._append(step, values)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.rows += 1

    def _append(self, step: int, values: dict[str, float | str]) -> None:
        new = not self._columns
        if new:
            self._columns = ["step", *values]
        elif more := [name for name in values if name not in self._columns]:
            # A resumed run may record more, such as the number of skipped steps.
            rows = [[*row, *[""] * len(more)] for row in read_table(self.path)[1:]]
            self._columns += more
            self._rewrite(rows)
        encoding = {"encoding": "utf-8", "errors": "surrogateescape"}  # Names of files.
        with self.path.open("a", newline="", **encoding) as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(self._columns)
            row = {"step": step}
            for name, value in values.items():
                row[name] = value if isinstance(value, str) else f"{value:.6g}"
            writer.writerow([row.get(column, "") for column in self._columns])
            file.flush()
            os.fsync(file.fileno())


class Recorder(Listener):
    """Writes the run's tables and TensorBoard logs, and locks the run until closed.

    Losses are averaged over `experiment.log_interval` steps; the last row averages the
    remaining ones.

    Raises:
        PicanetError: if another process trains in the run directory, or a table is
            damaged.
    """

    def __init__(self, run: RunDirectory, start: int, experiment: Experiment):
        with contextlib.ExitStack() as stack:
            stack.enter_context(run.locked())
            self._skipped = TableWriter(run.skipped, start)
            self._metrics = TableWriter(run.metrics, start)
            self._validation = TableWriter(run.validation, start)
            self._lock = stack.pop_all()
        self._experiment = experiment
        self._board = tf.summary.create_file_writer(str(run.tensorboard))
        self._window: list[dict[str, float]] = []
        self._steps = start

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        self._window.append(logs)
        self._count(step)

    def on_skip(self, step: int, names: list[str], keys: list[str]) -> None:
        self._skipped.write(
            step, {"not finite": " ".join(names), "records": " ".join(keys)}
        )
        self._count(step)

    def _count(self, step: int) -> None:
        self._steps = step
        if step % self._experiment.log_interval == 0:
            self._write_row()

    def _write_row(self) -> None:
        if not self._window:
            return
        means = {
            name: float(np.mean([row[name] for row in self._window]))
            for name in self._window[0]
        }
        if self._experiment.on_nonfinite == "skip":
            means["skipped"] = self._skipped.rows  # since the run began
        self._window = []
        self._metrics.write(self._steps, means)
        self._scalars("training", self._steps, means)

    def on_end(self) -> None:
        self._write_row()
        if self._skipped.rows:
            logging.warning(
                "%d of %d batches were not finite and were skipped; see %s",
                self._skipped.rows,
                self._steps,
                self._skipped.path,
            )

    def on_validation(self, step: int, scores: dict[str, float]) -> None:
        self._validation.write(step, scores)
        self._scalars("validation", step, scores)

    def on_panels(self, step: int, panels: list[np.ndarray]) -> None:
        with self._board.as_default(step=step):
            tf.summary.image(
                "image | ground truth | prediction",
                np.stack(panels),
                max_outputs=len(panels),
            )
        self._board.flush()

    def _scalars(self, group: str, step: int, values: dict[str, float]) -> None:
        with self._board.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(f"{group}/{name}", value)
        self._board.flush()

    def close(self) -> None:
        self._board.close()
        self._lock.close()
