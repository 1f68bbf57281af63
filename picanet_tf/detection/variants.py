"""The variants of Table 4. Imports no TensorFlow.

``SSD300`` is SSD without context. ``478LAP_910GAP`` names where context is taken, by
the number of the layer, and how: LAP at conv4_3, fc7 and conv8, GAP at conv9 and
conv10.
"""

from __future__ import annotations

import re

from picanet_tf.core.errors import PicanetError

DEFAULT_VARIANT = "478LAP_910GAP"
PLAIN = "SSD300"
VARIANTS = (PLAIN, "478LC_910ReNet", "478AC_910GAP", "478LAP_910GAP")
IMAGE_SIZE = 300
# conv9_2 and conv10_2 take context beside their input; AC and LC would replace them,
# which conv10_2, that has no padding, cannot be.
_POOLING = ("GAP", "LAP", "ReNet")
KINDS = {
    **dict.fromkeys((4, 7, 8), (*_POOLING, "AC", "LC")),
    **dict.fromkeys((9, 10), _POOLING),
}


def parse_variant(name: str) -> dict[int, str]:
    """The plan that a variant name spells.

    Returns:
        {attach point: kind of context module}: 4 (conv4_3), 7 (fc7), 8 (conv8), 9
        (conv9), 10 (conv10); `{}` for `"SSD300"`.

    Raises:
        PicanetError: says which part of the name could not be read, and the rule.

    Example:
        >>> parse_variant("478AC_910GAP")
        {4: 'AC', 7: 'AC', 8: 'AC', 9: 'GAP', 10: 'GAP'}
    """

    def bad(why: str) -> PicanetError:
        return PicanetError(
            f"Cannot read variant {name!r}: {why}. A variant names layers and what "
            f"attends there, such as 478AC_910GAP. Those of the paper: "
            f"{', '.join(VARIANTS)}."
        )

    if name == PLAIN:
        return {}
    plan: dict[int, str] = {}
    for part in name.split("_"):
        match = re.fullmatch(r"(\d+)([A-Za-z]+)", part)
        if match is None:
            raise bad(f"{part!r} is not layers followed by a kind")
        digits, kind = match.groups()
        for layer in map(int, re.findall(r"10|\d", digits)):
            if layer not in KINDS:
                raise bad(f"layer {layer} has no context module, 4, 7, 8, 9 and 10 may")
            if layer in plan:
                raise bad(f"layer {layer} is named twice")
            if kind not in KINDS[layer]:
                raise bad(
                    f"{kind!r} is none of the kinds of layer {layer}, "
                    f"{', '.join(KINDS[layer])}"
                )
            plan[layer] = kind
    return dict(sorted(plan.items()))


def check_image_size(variant: str, image_size: int) -> None:
    """Raises `PicanetError` for a size that the variant cannot be built at."""
    if image_size < 16:
        raise PicanetError(
            f"`image_size` must be at least 16. Received: image_size={image_size}"
        )
