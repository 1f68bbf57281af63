"""Compares detections that should be equal up to rounding errors.

Non-maximum suppression is discontinuous: rounding can swap two boxes with similar
scores, or move one across a threshold, which adds or removes the boxes it suppresses.
Boxes are therefore not compared by index. Instead, the sorted scores are compared
(padding counts as the score threshold, which covers the number of boxes), and each box
with the nearest one of its class, ignoring a few outliers. The raw outputs of the
network are compared separately, element by element.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from picanet_tf.detection.decode import SCORE_THRESHOLD

_OUTLIERS = 0.05  # fraction of the boxes that is ignored
_NO_LIKE = 1.0


def difference(found: Mapping, wanted: Mapping) -> float:
    """Returns the largest difference of scores and boxes (0..1), without outliers.

    Args:
        found: {"boxes": [N, n, 4], "scores": [N, n], "classes": [N, n], "count": [N]},
            from `postprocess.detections`.
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
    """Returns bool [N, n], False for padding."""
    return np.arange(found["scores"].shape[1]) < found["count"][:, np.newaxis]


def _select_image(found, number) -> tuple[np.ndarray, np.ndarray]:
    """Returns (boxes and scores [k, 5], classes [k]) of one image."""
    kept = slice(found["count"][number])
    boxes, scores, classes = (
        found[name][number][kept] for name in ("boxes", "scores", "classes")
    )
    return np.column_stack([boxes, scores]), classes


def _distance(these, those) -> float:
    """Returns the largest distance to the nearest of `those`, without outliers."""
    (rows, classes), (others, other_classes) = these, those
    if not len(rows):
        return 0.0
    off = np.full([len(rows), len(others) + 1], _NO_LIKE)
    off[:, :-1] = np.abs(rows[:, np.newaxis] - others).max(axis=-1)
    off[:, :-1][classes[:, np.newaxis] != other_classes] = _NO_LIKE
    nearest = np.sort(off.min(axis=1))
    return float(nearest[len(rows) - 1 - int(_OUTLIERS * len(rows))])
