"""The variants of Table 3. Does not import TensorFlow.

``DeepLab`` is DeepLab's ASPP on VGG16; ``DeepLab_LAP`` has a local PiCANet in each
branch. ``UNet`` and names with decoding stages, such as ``6GAP_543AC``, are U-Nets.
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
# {dilation of a branch's fc6: dilation of its context module}
BRANCHES = {6: 2, 12: 4, 18: 6, 24: 8}
# Decoding modules of the U-Net; each can have a context module.
STAGES = "6543"
UNET_STRIDE = 32

_DEEPLAB = "DeepLab"
_BRANCH_KINDS = ("LC", "AC", "LAP")


def is_deeplab(name: str) -> bool:
    return name.partition("_")[0] == _DEEPLAB


def parse_variant(name: str) -> dict[int, str]:
    """Parses a variant name.

    Returns:
        {attach point: kind of context module}; attach points are branch dilations (6,
        12, 18, 24) in DeepLab, and decoding stages (6, 5, 4, 3) in a U-Net.

    Raises:
        PicanetError: if the name is invalid; the message gives the part and the rule.

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
            f"Cannot read variant {name!r}: DeepLab's branches can have "
            f"{', '.join(_BRANCH_KINDS)}. Variants in the paper: {', '.join(VARIANTS)}."
        )
    return dict.fromkeys(BRANCHES, kind)


def default_image_size(variant: str) -> int:
    """Returns the side of the input used in the paper's training, in pixels."""
    return 321 if is_deeplab(variant) else 384


def check_image_size(variant: str, image_size: int) -> None:
    """Raises `PicanetError` for an unsupported input size."""
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
