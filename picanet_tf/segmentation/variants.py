"""The variants of Table 3. Imports no TensorFlow.

``DeepLab`` is DeepLab's ASPP on VGG16, ``DeepLab_LAP`` has a local PiCANet in each of
its branches. ``UNet`` and names of decoding stages, such as ``6GAP_543AC``, are U-Nets.
"""

from __future__ import annotations

from picanet_tf.core.errors import PicanetError
from picanet_tf.tasks.plans import parse_plan

DEFAULT_VARIANT = "6GAP_543LAP"
VARIANTS = (
    "DeepLab",
    "DeepLab_LC",
    "DeepLab_AC",
    "DeepLab_LAP",
    "UNet",
    "6ReNet_543LC",
    "6GAP_543AC",
    "6GAP_543LAP",
)
# Dilation of each branch's fc6, and of the context module beside it.
BRANCHES = {6: 2, 12: 4, 18: 6, 24: 8}
# Decoding modules of the U-Net; all of them may have a context module.
STAGES = "6543"
UNET_STRIDE = 32

_DEEPLAB = "DeepLab"
_BRANCH_KINDS = ("LC", "AC", "LAP")


def is_deeplab(name: str) -> bool:
    return name.partition("_")[0] == _DEEPLAB


def parse_variant(name: str) -> dict[int, str]:
    """The plan that a variant name spells.

    Returns:
        {attach point: kind of context module}: a branch's dilation (6, 12, 18, 24) of a
        DeepLab, a decoding stage (6, 5, 4, 3) of a U-Net.

    Raises:
        PicanetError: says which part of the name could not be read, and the rule.

    Example:
        >>> parse_variant("DeepLab_LAP")
        {6: 'LAP', 12: 'LAP', 18: 'LAP', 24: 'LAP'}
        >>> parse_variant("6GAP_543AC")
        {6: 'GAP', 5: 'AC', 4: 'AC', 3: 'AC'}
    """
    if not is_deeplab(name):
        return parse_plan(name, STAGES, VARIANTS)
    _, separator, kind = name.partition("_")
    if not separator:
        return {}
    if kind not in _BRANCH_KINDS:
        raise PicanetError(
            f"Cannot read variant {name!r}: DeepLab's branches may have "
            f"{', '.join(_BRANCH_KINDS)}. Those of the paper: {', '.join(VARIANTS)}."
        )
    return dict.fromkeys(BRANCHES, kind)


def default_image_size(variant: str) -> int:
    """Side of the input that the paper trains at, in pixels."""
    return 321 if is_deeplab(variant) else 384


def check_image_size(variant: str, image_size: int) -> None:
    """Raises `PicanetError` for a size that the variant cannot be built at."""
    if is_deeplab(variant):
        if image_size < 16:
            raise PicanetError(
                f"`image_size` must be at least 16. Received: image_size={image_size}"
            )
    elif image_size % UNET_STRIDE or image_size < UNET_STRIDE:
        raise PicanetError(
            f"`image_size` of {variant} must be a multiple of {UNET_STRIDE}, the "
            f"encoder's stride. Received: image_size={image_size}"
        )
