"""Compares a training step in Keras with one of tools/torch_training, on a CPU.

    python -m benchmarks.torch_training PYTHON [--rounds 5] [--steps 5]

PYTHON is an interpreter with tools/torch_training/requirements.txt. Both train
6GAP_5432LAP on 8 random images of 160 pixels: AdamW, norms of gradients clipped, blocks
1 and 2 of VGG16 frozen, a moving average of the weights, bfloat16 where the processor
computes it faster. Reading and augmentation are not included. The two frameworks take
turns; a step's time is the median over the rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from benchmarks.common import ROOT, report, training_step

VARIANT, SIZE, BATCH, FROZEN = "6GAP_5432LAP", 160, 8, 2
WORKER = "--worker"


def keras_step() -> Callable[[], object]:
    import keras

    from picanet_tf.layers.precision import resolve_precision
    from picanet_tf.tasks import get_task

    keras.config.set_dtype_policy(resolve_precision("auto"))
    network = get_task("saliency").build_model(VARIANT, SIZE, dropout=0.3)
    return training_step(
        network, BATCH, recipe="quick", freeze_blocks=FROZEN, ema_decay=0.999
    )


def torch_step(folder: str) -> Callable[[], object]:
    from pathlib import Path

    import torch

    from tools.torch_training import spare, weights
    from tools.torch_training.network import PiCANet

    whole = Path(folder) / "weights.npz"
    weights.save(PiCANet(VARIANT).state_dict(), whole)
    words = [folder, folder, "--weights", str(whole), "--freeze_blocks", str(FROZEN)]
    options = spare.make_parser().parse_args(words)
    training = spare.Training(options)
    images = torch.rand(BATCH, 3, SIZE, SIZE) * 255 - 128
    images = images.contiguous(memory_format=torch.channels_last)
    masks = (torch.rand(BATCH, 1, SIZE, SIZE) > 0.5).float()
    return lambda: training.step(images, masks, options.learning_rate)


def seconds(step: Callable[[], object], steps: int) -> float:
    """Returns the mean seconds of a step, over that many steps."""
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - start) / steps


def work() -> None:
    """Runs in PYTHON: for each number of steps on stdin, prints seconds per step."""
    with tempfile.TemporaryDirectory() as folder:
        step = torch_step(folder)
        step()
        print("ready", flush=True)
        while line := input():
            print(seconds(step, int(line)), flush=True)


def main(python: str, rounds: int, steps: int) -> None:
    command = [python, "-m", "benchmarks.torch_training", WORKER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as worker:

        def ask(number: object) -> float:
            worker.stdin.write(f"{number}\n")
            worker.stdin.flush()
            return float(worker.stdout.readline())

        while (line := worker.stdout.readline()) != "ready\n":
            if not line:
                sys.exit(f"{python} ended early: its message is above")
        ours = keras_step()
        ours()
        times = {"PyTorch": [], "Keras": []}
        for _ in range(rounds):
            times["PyTorch"].append(ask(steps))
            times["Keras"].append(seconds(ours, steps))
        worker.stdin.write("\n")
        worker.stdin.close()
    medians = {name: statistics.median(values) for name, values in times.items()}
    rows = [
        {
            "framework": name,
            "seconds an image": median / BATCH,
            "step / PyTorch's": median / medians["PyTorch"],
            "least": min(times[name]) / BATCH,
            "largest": max(times[name]) / BATCH,
        }
        for name, median in medians.items()
    ]
    report("torch_training", rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("python", nargs="?", help="an interpreter with PyTorch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5, help="of a round")
    parser.add_argument(WORKER, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work()
    elif not options.python:
        parser.error("PYTHON is missing")
    else:
        main(options.python, options.rounds, options.steps)
