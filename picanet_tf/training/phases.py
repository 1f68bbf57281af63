"""The phases of a training, each with its own size of the network's input."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from picanet_tf.core.errors import PicanetError

_RULE = (
    "`image_sizes` must be sizes with their shares of the steps, which add up to 1, "
    "such as 160:0.8,224:0.2"
)


class Phase(NamedTuple):
    """Consecutive steps with one size of the network's input.

    Attributes:
        image_size: side of the input in pixels.
        last: its last step, counted from 1.
    """

    image_size: int
    last: int


def parse_image_sizes(text: str) -> list[tuple[int, float]]:
    """Parses "160:0.8,224:0.2" to [(160, 0.8), (224, 0.2)].

    Raises:
        PicanetError: if it has another form, or the shares do not add up to 1.
    """
    sizes = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,5})\s*:\s*(\d*\.?\d+)\s*", part)
        if not match or not float(match[2]):
            raise PicanetError(f"{_RULE}. Received: {text!r}")
        sizes.append((int(match[1]), float(match[2])))
    if abs(sum(share for _, share in sizes) - 1) > 1e-6:
        raise PicanetError(f"{_RULE}. Received: {text!r}")
    return sizes


def plan_phases(sizes: list[tuple[int, float]], steps: int) -> tuple[Phase, ...]:
    """Divides the steps by the shares; phases without a step are left out.

    The last phase has at least one step, so that the network ends with its size.
    """
    phases, first, share_done = [], 0, 0.0
    for number, (size, share) in enumerate(sizes, 1):
        share_done += share
        others = min(round(steps * share_done), steps - 1)
        last = steps if number == len(sizes) else others
        if last > first:
            phases.append(Phase(size, last))
        first = last
    return tuple(phases)


def phase_of(step: int, phases: Iterable[Phase]) -> Phase:
    """Returns the phase in which a step, counted from 1, was taken."""
    return next(phase for phase in phases if step <= phase.last)
