"""What a run shows and writes while it trains."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from picanet_tf.training.run_directory import RunDirectory, write_text


class ProgressBar:
    """A bar with the loss, the rate in steps, and the time left."""

    def __init__(self, start: int, steps: int):
        self._bar = tqdm(
            desc="training",
            initial=start,
            total=steps,
            unit="step",
            dynamic_ncols=True,
            # A log file wants a line now and then, not ten a second.
            mininterval=0.2 if sys.stderr.isatty() else 30,
        )

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        self._bar.set_postfix(loss=f"{logs['loss']:.4f}", refresh=False)
        self._bar.update()

    def on_validation(self, step: int, scores: dict[str, float]) -> None:
        written = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        self._bar.write(f"step {step}: validation {written}", file=sys.stderr)

    def close(self) -> None:
        self._bar.close()


class TableWriter:
    """Rows of a CSV file, by step; a resumed run drops the rows after its step."""

    def __init__(self, path: Path, start: int):
        self._path = path
        self._columns: list[str] = []
        if path.exists():
            with path.open(newline="") as file:
                # A power cut may have torn the last line.
                rows = list(csv.reader(line for line in file if line.endswith("\n")))
            if rows:
                self._columns = rows[0]
                kept = [rows[0]] + [
                    row
                    for row in rows[1:]
                    if len(row) == len(rows[0]) and int(row[0]) <= start
                ]
                write_text(path, "".join(",".join(row) + "\n" for row in kept))

    def write(self, step: int, values: dict[str, float]) -> None:
        new = not self._columns
        if new:
            self._columns = ["step", *values]
        with self._path.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(self._columns)
            row = {"step": step, **{k: f"{v:.6g}" for k, v in values.items()}}
            writer.writerow([row.get(column, "") for column in self._columns])
            file.flush()
            os.fsync(file.fileno())


class Recorder:
    """metrics.csv, validation.csv and TensorBoard: means over `interval` steps."""

    def __init__(self, run: RunDirectory, start: int, interval: int):
        self._interval = interval
        self._metrics = TableWriter(run.metrics, start)
        self._validation = TableWriter(run.validation, start)
        self._board = tf.summary.create_file_writer(str(run.tensorboard))
        self._window: list[dict[str, float]] = []

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        self._window.append(logs)
        if step % self._interval:
            return
        means = {
            name: float(np.mean([row[name] for row in self._window])) for name in logs
        }
        self._window = []
        self._metrics.write(step, means)
        self._scalars("training", step, means)

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
