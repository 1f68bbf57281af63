"""What shared code is handed of this task: where it attends.

Prediction and serving are not written yet: what they would do says so.
"""

from __future__ import annotations

from picanet_tf.detection.model import SEEN
from picanet_tf.detection.variants import parse_variant
from picanet_tf.errors import PicanetError
from picanet_tf.seams import AttachPoint, Prediction, Served

_LABELS = {4: "conv4_3", 7: "fc7", 8: "conv8", 9: "conv9", 10: "conv10"}


def attach_points(variant: str) -> dict[int, AttachPoint]:
    """{attach point: where its context module is}, coarse to fine."""
    plan = parse_variant(variant)
    return {
        key: AttachPoint(
            key,
            _LABELS[key],
            plan[key],
            SEEN[key],
            f"context{key}_{plan[key].lower()}",
        )
        for key in sorted(plan, reverse=True)
    }


def _missing(*_):
    raise PicanetError("Detection networks cannot be predicted with or exported yet")


PREDICTION = Prediction(
    finest=lambda names: "scores",
    test_size=lambda variant, image_size: image_size,
    frame=_missing,
    prepare=_missing,
    activate=_missing,
    finish=_missing,
    foreground=_missing,
    foreground_title="",
    formats=(),
    render=_missing,
)
SERVED = Served(
    output="scores",
    heads=_missing,
    signatures={},
    encoded="",
    encoded_from=(),
    draw=_missing,
    drawn_difference=_missing,
    resize="to {side} x {side}, aspect not kept",
    content="logits of each default box",
)
