"""What this machine can bear, asked before the first step. Imports no TensorFlow."""

from __future__ import annotations

import glob
import os
import shutil
from pathlib import Path

from absl import logging

from picanet_tf.tasks.registry import get_spec
from picanet_tf.training.experiments import Experiment


def unused_gpu(used_by_tensorflow: int) -> str:
    """Why there seems to be an NVIDIA GPU that TensorFlow does not use; "" if not so.

    A GPU that `CUDA_VISIBLE_DEVICES` hides is left alone on purpose.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if used_by_tensorflow or visible in ("", "-1"):
        return ""
    devices = sorted(glob.glob("/dev/nvidia[0-9]*"))
    if devices:
        return f"{', '.join(devices)} exists"
    if visible:
        return f"CUDA_VISIBLE_DEVICES is {visible}"
    if shutil.which("nvidia-smi"):
        return "nvidia-smi is installed"
    return ""


def warn_of_unused_gpu(used_by_tensorflow: int) -> None:
    """Says so loudly when a GPU would sit idle."""
    sign = unused_gpu(used_by_tensorflow)
    if sign:
        logging.warning(
            "\n%s\nTHIS MACHINE SEEMS TO HAVE A GPU, BUT TENSORFLOW USES NONE (%s).\n"
            "Training goes on on the CPU, many times slower. Look at the driver with "
            "nvidia-smi, install\npip install 'tensorflow[and-cuda]', and see what "
            'python -c "import tensorflow as tf; print(tf.config.list_physical_devices'
            "('GPU'))\"\nsays; or set CUDA_VISIBLE_DEVICES=-1 to mean it.\n%s",
            "*" * 78,
            sign,
            "*" * 78,
        )


# Highest resident memory of a training step at full width and 224 pixels, in GB
# (`python -m benchmarks.model training 4 224`): 2.74, 3.33, 4.64 and 7.8 of
# 6GAP_5432AC, 57.5 M weights, with batches of 1, 2, 4 and 9 on two threads, which hold
# more than one; 1.58 and 2.52 of UNet, 22.7 M, with batches of 1 and 4 on one. So, to
# 10%, with what the tasks say of each variant's weights and images:
_PROCESS = 0.5e9
_WEIGHT = 28.0  # bytes: itself, its velocity, its gradient, and what comes in between


def needed_memory(experiment: Experiment, workers: int = 1) -> float:
    """Bytes that training on a CPU takes at its height, estimated.

    What was measured, the part of an image scaled by its pixels and the channels, that
    of the weights by the square of the channels.

    Args:
        experiment: what is trained.
        workers: how many machines share the batch.
    """
    weights, image = get_spec(experiment.task).memory(experiment.variant)
    weights *= experiment.width**2
    # A second copy of weights and velocities, to go back to.
    each = _WEIGHT + (8 if experiment.on_nonfinite == "skip" else 0)
    pixels = (experiment.image_size / 224) ** 2
    images = experiment.batch_size / workers
    return (
        _PROCESS
        + max(experiment.replicas, 1) * each * weights
        + images * image * pixels * experiment.width
    )


def warn_of_memory(experiment: Experiment, workers: int = 1) -> None:
    """Warns where this machine may not hold the training; never refuses it.

    The estimate is for CPUs only: what a GPU takes is not measured.
    """
    total, free = memory()
    needed = needed_memory(experiment, workers)
    if not free or needed <= free:
        return
    logging.warning(
        "Training %s with batches of %d at %d pixels takes about %.1f GB; this machine "
        "has %.1f GB, of which %.1f GB are free now. A smaller --batch_size, "
        "--image_size or --width takes less",
        experiment.variant,
        experiment.batch_size,
        experiment.image_size,
        needed / 1e9,
        total / 1e9,
        free / 1e9,
    )


def memory() -> tuple[float, float]:
    """Bytes of memory that this process may use, and that are free; 0 if unknown."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        sizes = {line.split(":")[0]: 1024.0 * int(line.split()[1]) for line in lines}
        total, free = sizes["MemTotal"], sizes["MemAvailable"]
    except (OSError, ValueError, LookupError):
        return 0.0, 0.0
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            total = min(total, float(Path("/sys/fs/cgroup", limit).read_text()))
        except (OSError, ValueError):  # no control group, or "max"
            continue
    return total, min(free, total)
