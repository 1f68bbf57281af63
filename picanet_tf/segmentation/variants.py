"""The variants of Table 3. Imports no TensorFlow.

``DeepLab`` is DeepLab's ASPP on VGG16, ``DeepLab_LAP`` has a local PiCANet in each of
its branches. ``UNet`` and names of decoding stages, such as ``6GAP_543AC``, are U-Nets.
"""

from __future__ import annotations

from picanet_tf.plans import parse_plan

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
        ValueError: says which part of the name could not be read, and the rule.

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
        raise ValueError(
            f"Cannot read variant {name!r}: DeepLab's branches may have "
            f"{', '.join(_BRANCH_KINDS)}. Those of the paper: {', '.join(VARIANTS)}."
        )
    return dict.fromkeys(BRANCHES, kind)


def default_image_size(variant: str) -> int:
    """Side of the input that the paper trains at, in pixels."""
    return 321 if is_deeplab(variant) else 384


def check_image_size(variant: str, image_size: int) -> None:
    """Raises `ValueError` for a size that the variant cannot be built at."""
    if is_deeplab(variant):
        if image_size < 16:
            raise ValueError(
                f"`image_size` must be at least 16. Received: image_size={image_size}"
            )
    elif image_size % UNET_STRIDE or image_size < UNET_STRIDE:
        raise ValueError(
            f"`image_size` of {variant} must be a multiple of {UNET_STRIDE}, the "
            f"encoder's stride. Received: image_size={image_size}"
        )


def defaults(variant: str | None = None) -> dict:
    """Of a training: DeepLab's protocol, for the U-Nets as well."""
    variant = variant or DEFAULT_VARIANT
    return {
        "variant": variant,
        "image_size": default_image_size(variant),
        "steps": 20_000,
        "batch_size": 10,
        "rate_schedule": "poly",
    }


# {variant: (weights, bytes an image)}: see `training.machine`. Measured, a step of one
# image on one thread, at its highest: DeepLab_LAP 2.65 GB, DeepLab_AC 3.94 GB (321
# pixels), 6GAP_543LAP 2.52 GB (384). The others' images are taken to need as much.
_MEMORY = {
    "DeepLab": (37.9e6, 0.33e9),
    "DeepLab_LC": (91.4e6, 0.33e9),
    "DeepLab_AC": (104.2e6, 0.3e9),
    "DeepLab_LAP": (52.8e6, 0.33e9),
    "UNet": (22.7e6, 0.31e9),
    "6GAP_543LAP": (35.9e6, 0.34e9),
}
_UNET_WITH_CONTEXT = (56.0e6, 0.34e9)


def memory(variant: str) -> tuple[float, float]:
    """Weights, and bytes that an image of 224 x 224 takes in a training step."""
    return _MEMORY.get(variant, _UNET_WITH_CONTEXT)
