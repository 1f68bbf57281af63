"""Compares exported models with the Keras model."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from picanet_tf.core.errors import PicanetError

# Largest difference from the Keras model allowed for a float32 artefact.
TOLERANCE = 1e-3


class Artefact(NamedTuple):
    """An exported file, or the SavedModel's folder.

    Attributes:
        name: path within the version folder.
        bytes: size in bytes.
        difference: largest absolute difference from the Keras model, relative to the
            largest value if that is above 1; for classes the share of pixels that
            differ; for boxes as defined by the task.
        note: additional remarks.
    """

    name: str
    bytes: int
    difference: float
    note: str = ""


def difference_of(value: np.ndarray, wanted: np.ndarray) -> float:
    """Returns the difference of an output; see `Artefact.difference`."""
    if np.issubdtype(wanted.dtype, np.integer):
        return float(np.mean(value != wanted))
    scale = max(1.0, float(np.abs(wanted).max()))
    return float(np.abs(value - wanted).max()) / scale


def largest(differences: Iterable[float]) -> float:
    """Returns the largest, or 0; NaN if one is NaN, which Python's `max` may drop."""
    return float(np.max(list(differences), initial=0))


def check_finite(name: str, difference: float) -> None:
    """Raises `PicanetError` if an artefact or the Keras model gives NaN or infinity."""
    if not math.isfinite(difference):
        raise PicanetError(
            f"{name} gives NaN or infinity for an image; nothing was exported. Give "
            "another `quantize`, or a `model` whose weights have not diverged"
        )


def check_difference(name: str, difference: float) -> None:
    """Raises `PicanetError` if a float32 artefact differs from the Keras model."""
    check_finite(name, difference)
    if difference > TOLERANCE:
        raise PicanetError(
            f"{name} differs by {difference:.1e} from the Keras model, more than "
            f"{TOLERANCE:.0e}; nothing was exported"
        )
