"""How far apart detections are that should be the same but for rounding.

Non-maximum suppression jumps: a rounding swaps two boxes of nearly the same score, or
moves one over a threshold, which takes it out and lets in those it had suppressed. So
boxes are not compared by their place in the list. What is compared is the scores as
they fall, those left out counted as the least kept ones, and with it their number; and
each box with the nearest one of its class, but for a few strays. The network's outputs
that they come from are compared by themselves, number by number.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from picanet_tf.detection.decode import SCORE_THRESHOLD

_STRAYS = 0.05  # the part of the boxes that need have no like
_NO_LIKE = 1.0


def difference(found: Mapping, wanted: Mapping) -> float:
    """The largest of scores and boxes, both 0..1, strays left out.

    Args:
        found: {"boxes": [N, n, 4], "scores": [N, n], "classes": [N, n], "count": [N]},
            as of `postprocess.detections`.
        wanted: as `found`.
    """
    scores = [
        np.maximum(np.where(_valid_mask(one), one["scores"], 0), SCORE_THRESHOLD)
        for one in (found, wanted)
    ]
    worst = float(np.abs(scores[0] - scores[1]).max())
    for number in range(len(wanted["count"])):
        these, those = (_select_image(one, number) for one in (found, wanted))
        for rows, others in ((these, those), (those, these)):
            worst = max(worst, _distance(rows, others))
    return worst


def _valid_mask(found) -> np.ndarray:
    """bool [N, n]: what is no padding."""
    return np.arange(found["scores"].shape[1]) < found["count"][:, np.newaxis]


def _select_image(found, number) -> tuple[np.ndarray, np.ndarray]:
    """(box and score [k, 5], classes [k]) of one image."""
    kept = slice(found["count"][number])
    boxes, scores, classes = (
        found[name][number][kept] for name in ("boxes", "scores", "classes")
    )
    return np.column_stack([boxes, scores]), classes


def _distance(these, those) -> float:
    """How far these are from the nearest of those, strays left out."""
    (rows, classes), (others, other_classes) = these, those
    if not len(rows):
        return 0.0
    off = np.full([len(rows), len(others) + 1], _NO_LIKE)
    off[:, :-1] = np.abs(rows[:, np.newaxis] - others).max(axis=-1)
    off[:, :-1][classes[:, np.newaxis] != other_classes] = _NO_LIKE
    nearest = np.sort(off.min(axis=1))
    return float(nearest[len(rows) - 1 - int(_STRAYS * len(rows))])
