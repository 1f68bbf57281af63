"""The variants of the saliency network. Does not import TensorFlow."""

from __future__ import annotations

from picanet_tf.core.errors import PicanetError
from picanet_tf.tasks.plans import parse_plan

DEFAULT_VARIANT = "6GAP_5432AC"

# Table 1 of the paper, and the variant of the authors' release (CVPR version).
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

IMAGE_SIZE = 224  # input side used in the paper, in pixels
STRIDE = 8  # stride of the encoder
# Decoding modules that can have a context module.
STAGES = "65432"


def parse_variant(name: str) -> dict[int, str]:
    """Parses a variant name, see `plans.parse_plan`.

    Example:
        >>> parse_variant("6GAP_5432AC")
        {6: 'GAP', 5: 'AC', 4: 'AC', 3: 'AC', 2: 'AC'}
        >>> parse_variant("6G_5432L_AveP")
        {6: 'G_AveP', 5: 'L_AveP', 4: 'L_AveP', 3: 'L_AveP', 2: 'L_AveP'}
    """
    return parse_plan(name, STAGES, VARIANTS)


def check_image_size(variant: str, image_size: int) -> None:
    """Raises `PicanetError` for an unsupported input size."""
    if image_size % STRIDE or image_size < 2 * STRIDE:
        raise PicanetError(
            f"`image_size` must be a multiple of {STRIDE}, the encoder's stride, and "
            f"at least {2 * STRIDE}. Received: image_size={image_size}"
        )
