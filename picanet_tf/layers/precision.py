"""The precision of sums, statistics and attention."""

from __future__ import annotations

import keras


def at_least_float32(dtype: str) -> str:
    """Returns float32 for a half-precision dtype; float32 and float64 stay.

    Example:
        >>> at_least_float32("bfloat16"), at_least_float32("float64")
        ('float32', 'float64')
    """
    return keras.backend.result_type(dtype, "float32")
