"""Parses the variant names of U-Nets. Does not import TensorFlow.

``6GAP_5432AC`` means global attention pooling in decoding module D6 and attention
convolution in D5 to D2. The pooling baselines give the scope (G or L) with the stages
and the pooling last: ``6G_5432L_AveP``. ``UNet`` has no context module.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from picanet_tf.core.errors import PicanetError

_KINDS = ("GAP", "LAP", "AC", "ReNet", "LC")
_POOLINGS = ("AveP", "MaxP")


def parse_plan(name: str, stages: str, known: Sequence[str]) -> dict[int, str]:
    """Parses a variant name.

    Args:
        name: variant name, such as `"6GAP_5432AC"`; each stage at most once.
        stages: digits of the stages that can have a context module, coarse to fine.
        known: variant names to list in error messages.

    Returns:
        {decoding stage: kind of context module}, coarse to fine; `{}` for `"UNet"`.

    Raises:
        PicanetError: if the name is invalid; the message gives the part and the rule.

    Example:
        >>> parse_plan("6GAP_5432AC", "65432", VARIANTS)
        {6: 'GAP', 5: 'AC', 4: 'AC', 3: 'AC', 2: 'AC'}
    """

    def bad(why: str) -> PicanetError:
        example = next(name for name in known if "GAP_" in name)
        return PicanetError(
            f"Cannot read variant {name!r}: {why}. A variant lists decoding stages and "
            f"their context modules, such as {example}. Variants in the paper: "
            f"{', '.join(known)}."
        )

    if name == "UNet":
        return {}
    parts = name.split("_")
    pooling = parts.pop() if parts[-1] in _POOLINGS else None
    plan: dict[int, str] = {}
    for part in parts:
        match = re.fullmatch(r"(\d+)(\w+)", part)
        if match is None:
            raise bad(f"{part!r} is not a list of stages followed by a kind")
        digits, kind = match.groups()
        kinds = ("G", "L") if pooling else _KINDS
        if kind not in kinds:
            raise bad(f"{kind!r} is not one of the kinds {', '.join(kinds)}")
        for stage in digits:
            if stage not in stages:
                valid = f"{stages[0]} to {stages[-1]}"
                raise bad(f"stage {stage} cannot have a context module, only {valid}")
            if int(stage) in plan:
                raise bad(f"stage {stage} is named twice")
            plan[int(stage)] = f"{kind}_{pooling}" if pooling else kind
    if not plan:
        raise bad("it names no stage")
    return dict(sorted(plan.items(), reverse=True))
