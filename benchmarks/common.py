"""Utilities of the benchmarks: timing, memory, tables and results/*.csv."""

from __future__ import annotations

import csv
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).resolve().parent.parent


def median_seconds(run: Callable[[], object], repeats: int, warm_up: int = 1) -> float:
    """Returns the median wall time of `run`, which must block until it is done.

    Args:
        run: the function to time.
        repeats: number of timed calls.
        warm_up: number of calls before.
    """
    for _ in range(warm_up):
        run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def reset_peak_memory() -> int:
    """Resets the process' peak resident memory; returns the current one in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak_memory() -> int:
    """Returns the peak resident memory in bytes since `reset_peak_memory`."""
    return _status("VmHWM")


def resident_memory() -> int:
    """Returns the current resident memory in bytes."""
    return _status("VmRSS")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def in_own_process(module: str, *arguments) -> dict:
    """Runs `python -m module arguments`; returns the JSON of its last line."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if done.returncode:
        raise RuntimeError(f"{module} {arguments}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def in_turn(products: Sequence[Callable]):
    """Runs the products in a graph, one after the other.

    Returns the sum of one element of each, because TensorFlow prunes operations that
    only a control dependency requires.
    """
    import tensorflow as tf

    result = tf.constant(0.0)
    for product in products:
        with tf.control_dependencies([result]):
            element = tf.reshape(product(), [-1])[0]
            result += tf.cast(element, tf.float32)
    return result


def training_step(network, batch: int, **settings) -> Callable[[], object]:
    """Returns a function that trains a network for a step and waits for it.

    It runs the trainer's own step, on random images and masks.

    Args:
        network: a saliency network.
        batch: number of images.
        **settings: further settings of the `Experiment`.
    """
    import tensorflow as tf

    from picanet_tf.backbones.vgg16_weights import CONV_LAYERS
    from picanet_tf.training.averages import Averages
    from picanet_tf.training.experiments import Experiment
    from picanet_tf.training.initialization import make_optimizer
    from picanet_tf.training.step import TrainingStep

    task, size = network.task, network.image_size
    experiment = Experiment.of(
        variant=network.variant,
        image_size=size,
        batch_size=batch,
        precision=network.config.dtype,
        **settings,
    )
    optimizer = make_optimizer(network, experiment, CONV_LAYERS)
    strategy = tf.distribute.get_strategy()
    averages = None
    if experiment.ema_decay:
        averages = Averages(network, optimizer, experiment.ema_decay)
    step = TrainingStep(task, experiment, strategy, network, optimizer, averages)
    images = tf.random.uniform([batch, size, size, 3], maxval=255, seed=0)
    masks = tf.cast(tf.random.uniform([batch, size, size, 1], seed=1) > 0.5, tf.float32)
    targets = task.encode_targets(masks, network.output, size)
    return lambda: step((images, targets))


def report(name: str, rows: list[dict]) -> None:
    """Prints the rows as a table and appends them to results/<name>.csv."""
    columns = list(rows[0])
    cells = [columns] + [[_text(row[column]) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print(
            "  ".join(
                cell.rjust(width) for cell, width in zip(line, widths, strict=True)
            )
        )
    path = RESULTS / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    known = None
    if path.exists():
        with path.open(newline="") as file:
            known = next(csv.reader(file), None)
    context = environment()
    header = [*context, *columns]
    if known is not None and known != header:
        path.rename(path.with_suffix(f".{int(path.stat().st_mtime)}.csv"))
        known = None
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if known is None:
            writer.writerow(header)
        for row in rows:
            writer.writerow([*context.values(), *(_text(v) for v in row.values())])


def environment() -> dict[str, str]:
    """Returns the first columns of each result: date, versions and processor."""
    from importlib.metadata import version

    return {
        "date": f"{datetime.datetime.now():%Y-%m-%d %H:%M}",
        "tensorflow": version("tensorflow"),
        "keras": version("keras"),
        "python": platform.python_version(),
        "cpu": _cpu(),
        "threads": str(os.cpu_count()),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _text(value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
