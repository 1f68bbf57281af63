"""Checks of GPU use and memory before training. Does not import TensorFlow."""

from __future__ import annotations

import glob
import os
import shutil
from pathlib import Path

from absl import logging

from picanet_tf.tasks.registry import get_spec
from picanet_tf.training.control_groups import memory_limit
from picanet_tf.training.experiments import Experiment


def unused_gpu(used_by_tensorflow: int) -> str:
    """Returns the evidence of an NVIDIA GPU that TensorFlow does not use, or "".

    GPUs hidden by `CUDA_VISIBLE_DEVICES` are unused on purpose.
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
    """Warns if the machine seems to have a GPU that would be idle."""
    sign = unused_gpu(used_by_tensorflow)
    if sign:
        logging.warning(
            "\n%s\nTHIS MACHINE SEEMS TO HAVE A GPU, BUT TENSORFLOW USES NONE (%s).\n"
            "Training continues on the CPU, many times slower. Check the driver with "
            "nvidia-smi, run\npip install 'tensorflow[and-cuda]', and check the output "
            'of python -c "import tensorflow as tf; print('
            "tf.config.list_physical_devices('GPU'))\".\nTo train on the CPU anyway, "
            "set CUDA_VISIBLE_DEVICES=-1.\n%s",
            "*" * 78,
            sign,
            "*" * 78,
        )


# Peak resident memory of a training step at full width and 224 pixels, in GB
# (`python -m benchmarks.model training 4 224`): 2.74, 3.33, 4.64 and 7.8 for
# 6GAP_5432AC (57.5 M weights) with batches of 1, 2, 4 and 9 on two threads, which take
# more memory than one; 1.58 and 2.52 for UNet (22.7 M) with batches of 1 and 4 on one
# thread. With `TaskSpec.memory`, these constants reproduce that to within 10%:
_PROCESS = 0.5e9  # bytes of the process itself
_WEIGHT = 28.0  # bytes per weight: value, velocity, gradient and temporaries


def needed_memory(experiment: Experiment, workers: int = 1) -> float:
    """Estimates the peak memory of training on a CPU, in bytes.

    Extrapolates from measurements: the memory per image scales with its pixels and the
    channels, and that of the weights with the square of the channels.

    Args:
        experiment: the training's settings.
        workers: number of machines that share the batch.
    """
    weights, image = get_spec(experiment.task).memory(experiment.variant)
    weights *= experiment.width**2
    # AdamW has two moments; averages are one more copy of the weights.
    more = 4 * (experiment.optimizer == "adamw") + 4 * (experiment.ema_decay > 0)
    each = _WEIGHT + more
    if experiment.on_nonfinite == "skip":  # A second copy of all that a step changes.
        each += 8 + more
    pixels = (_largest_size(experiment) / 224) ** 2
    images = experiment.batch_size / workers
    return (
        _PROCESS
        + max(experiment.replicas, 1) * each * weights
        + images * image * pixels * experiment.width
    )


def _largest_size(experiment: Experiment) -> int:
    return max(phase.image_size for phase in experiment.phases)


def warn_of_memory(experiment: Experiment, workers: int = 1) -> None:
    """Warns if this machine may have too little memory for the training.

    The estimate is for CPUs only; GPU memory was not measured.
    """
    total, free = memory()
    needed = needed_memory(experiment, workers)
    if not free or needed <= free:
        return
    logging.warning(
        "Training %s with batches of %d at %d pixels needs about %.1f GB; this machine "
        "has %.1f GB, of which %.1f GB are free now. Reduce --batch_size, --image_size "
        "or --width to need less",
        experiment.variant,
        experiment.batch_size,
        _largest_size(experiment),
        needed / 1e9,
        total / 1e9,
        free / 1e9,
    )


def memory() -> tuple[float, float]:
    """Returns the memory that this process may use and the free part, in bytes.

    The first is the machine's memory, or the limit of a container. Unknown values are
    0.
    """
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        sizes = {line.split(":")[0]: 1024.0 * int(line.split()[1]) for line in lines}
        total, free = sizes["MemTotal"], sizes["MemAvailable"]
    except (OSError, ValueError, LookupError):
        return 0.0, 0.0
    total = min(total, memory_limit())
    return total, min(free, total)
