"""Variant names and the plans that they spell. Imports no TensorFlow.

``6GAP_5432AC``: global attention pooling in decoding module D6, attention convolution
in D5 to D2. The pooling controls name their scope ahead and the pooling last:
``6G_5432L_AveP``. ``UNet`` has no context module.
"""

from __future__ import annotations

import re

DEFAULT_VARIANT = "6GAP_5432AC"

# Table 1 of the paper, and the plan of the authors' release of the CVPR version.
VARIANTS = (
    "UNet",
    "6GAP",
    "6GAP_5AC",
    "6GAP_54AC",
    "6GAP_543AC",
    "6GAP_5432AC",
    "65432AC",
    "65GAP_432AC",
    "654GAP_32AC",
    "6GAP_5432LAP",
    "6ReNet_5432LC",
    "6G_5432L_AveP",
    "6G_5432L_MaxP",
    "65GAP_432LAP",
)

_KINDS = ("GAP", "LAP", "AC", "ReNet", "LC")
_POOLINGS = ("AveP", "MaxP")
_STAGES = "65432"


def parse_variant(name: str) -> dict[int, str]:
    """The plan that a variant name spells.

    Args:
        name: such as `"6GAP_5432AC"`, any stages of 6 to 2, each at most once.

    Returns:
        {decoding stage: kind of context module}, coarse to fine; `{}` for `"UNet"`.

    Raises:
        ValueError: says which part of the name could not be read, and the rule.

    Example:
        >>> parse_variant("6GAP_5432AC")
        {6: 'GAP', 5: 'AC', 4: 'AC', 3: 'AC', 2: 'AC'}
        >>> parse_variant("6G_5432L_AveP")
        {6: 'G_AveP', 5: 'L_AveP', 4: 'L_AveP', 3: 'L_AveP', 2: 'L_AveP'}
    """
    if name == "UNet":
        return {}
    parts = name.split("_")
    pooling = parts.pop() if parts[-1] in _POOLINGS else None
    plan: dict[int, str] = {}
    for part in parts:
        match = re.fullmatch(r"(\d+)(\w+)", part)
        if match is None:
            raise _bad(name, f"{part!r} is not stages followed by a kind")
        stages, kind = match.groups()
        kinds = ("G", "L") if pooling else _KINDS
        if kind not in kinds:
            raise _bad(name, f"{kind!r} is none of the kinds {', '.join(kinds)}")
        for stage in stages:
            if stage not in _STAGES:
                raise _bad(name, f"stage {stage} has no context module, 6 to 2 may")
            if int(stage) in plan:
                raise _bad(name, f"stage {stage} is named twice")
            plan[int(stage)] = f"{kind}_{pooling}" if pooling else kind
    if not plan:
        raise _bad(name, "it names no stage")
    return dict(sorted(plan.items(), reverse=True))


def _bad(name: str, why: str) -> ValueError:
    return ValueError(
        f"Cannot read variant {name!r}: {why}. A variant names decoding stages and "
        f"what attends there, such as 6GAP_5432AC. Those of the paper: "
        f"{', '.join(VARIANTS)}."
    )
