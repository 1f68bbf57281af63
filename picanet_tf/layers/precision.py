"""The precision of sums, statistics and attention, and the choice of bfloat16.

bfloat16 is Keras' dtype policy `mixed_bfloat16`: convolutions and matrix products in
bfloat16, variables in float32; statistics, sums, softmax, sigmoid, side outputs and
losses in float32. TensorFlow's graph rewrite `auto_mixed_precision_onednn_bfloat16` is
as fast within a few percent (`python -m benchmarks.precision speed`). But it applies to
all graphs of a process, exports included, and only to those on CPUs; TensorFlow's lists
decide what stays in float32; and a network does not record it.
"""

from __future__ import annotations

import os

import keras
import tensorflow as tf
from absl import logging

from picanet_tf.core.hardware import bfloat16_unit

AUTO, FLOAT32, BFLOAT16 = "auto", "float32", "mixed_bfloat16"
_BFLOAT16_CAPABILITY = (8, 0)  # NVIDIA's Ampere: the first tensor cores for bfloat16


def at_least_float32(dtype: str) -> str:
    """Returns float32 for a half-precision dtype; float32 and float64 stay.

    Example:
        >>> at_least_float32("bfloat16"), at_least_float32("float64")
        ('float32', 'float64')
    """
    return keras.backend.result_type(dtype, "float32")


def resolve_precision(precision: str, network: str = "") -> str:
    """Resolves `"auto"` to the dtype policy for this machine, and logs the choice.

    Args:
        precision: `"auto"`, or a dtype policy, which is returned unchanged.
        network: name of the network, for the log.

    Returns:
        `"mixed_bfloat16"` where TensorFlow's GPUs, or without any the processor,
        multiply bfloat16 matrices faster than float32; else `"float32"`.
    """
    if precision != AUTO:
        return precision
    fast, why = _has_fast_bfloat16()
    chosen = "bfloat16" if fast else FLOAT32
    logging.info("Precision%s: %s (%s)", network and f" of {network}", chosen, why)
    return BFLOAT16 if fast else FLOAT32


def _has_fast_bfloat16() -> tuple[bool, str]:
    """Returns whether bfloat16 is fast here, and why."""
    gpus = tf.config.get_visible_devices("GPU")
    for gpu in gpus:
        details = tf.config.experimental.get_device_details(gpu)
        name = details.get("device_name", gpu.name)
        # Only NVIDIA's GPUs have a compute capability.
        if details.get("compute_capability", (0, 0)) < _BFLOAT16_CAPABILITY:
            return False, f"{name} has no tensor cores for bfloat16"
    if gpus:
        return True, f"{name} has tensor cores for bfloat16"
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() in ("0", "false"):
        return False, "TF_ENABLE_ONEDNN_OPTS turns oneDNN off"
    unit = bfloat16_unit()
    if unit:
        return True, f"the processor has {unit}"
    return False, "the processor has neither AMX-BF16 nor AVX512-BF16"
