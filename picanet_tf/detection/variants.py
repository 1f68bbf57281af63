"""The variants of Table 4. Does not import TensorFlow.

``SSD300`` is SSD without context modules. ``478LAP_910GAP`` lists layers and their
context modules: LAP at conv4_3, fc7 and conv8, GAP at conv9 and conv10.
"""

from __future__ import annotations

import re

from picanet_tf.core.errors import PicanetError

DEFAULT_VARIANT = "478LAP_910GAP"
PLAIN = "SSD300"
VARIANTS = (PLAIN, "478LC_910ReNet", "478AC_910GAP", "478LAP_910GAP")
IMAGE_SIZE = 300
# conv9_2 and conv10_2 get context as an additional input. AC and LC would replace them,
# which is impossible for conv10_2, as it has no padding.
_POOLING = ("GAP", "LAP", "ReNet")
KINDS = {
    **dict.fromkeys((4, 7, 8), (*_POOLING, "AC", "LC")),
    **dict.fromkeys((9, 10), _POOLING),
}


def parse_variant(name: str) -> dict[int, str]:
    """Parses a variant name.

    Returns:
        {attach point: kind of context module}: 4 (conv4_3), 7 (fc7), 8 (conv8), 9
        (conv9), 10 (conv10); `{}` for `"SSD300"`.

    Raises:
        PicanetError: if the name is invalid; the message gives the part and the rule.

    Example:
        >>> parse_variant("478AC_910GAP")
        {4: 'AC', 7: 'AC', 8: 'AC', 9: 'GAP', 10: 'GAP'}
    """

    def bad(why: str) -> PicanetError:
        return PicanetError(
            f"Cannot read variant {name!r}: {why}. A variant lists layers and their "
            f"context modules, such as 478AC_910GAP. Variants in the paper: "
            f"{', '.join(VARIANTS)}."
        )

    if name == PLAIN:
        return {}
    plan: dict[int, str] = {}
    for part in name.split("_"):
        match = re.fullmatch(r"(\d+)([A-Za-z]+)", part)
        if match is None:
            raise bad(f"{part!r} is not a list of layers followed by a kind")
        digits, kind = match.groups()
        for layer in map(int, re.findall(r"10|\d", digits)):
            if layer not in KINDS:
                raise bad(
                    f"layer {layer} cannot have a context module, only 4, 7, 8, 9, 10"
                )
            if layer in plan:
                raise bad(f"layer {layer} is named twice")
            if kind not in KINDS[layer]:
                raise bad(
                    f"{kind!r} is not one of the kinds of layer {layer}, "
                    f"{', '.join(KINDS[layer])}"
                )
            plan[layer] = kind
    return dict(sorted(plan.items()))


def check_image_size(variant: str, image_size: int) -> None:
    """Raises `PicanetError` for an unsupported input size."""
    if image_size < 16:
        raise PicanetError(
            f"`image_size` must be at least 16. Received: image_size={image_size}"
        )
