"""Converts the colours of an image to sRGB, by its ICC profile.

Relative colorimetric with black point compensation, by Little CMS (`PIL.ImageCms`).
"""

import functools
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from picanet_tf.core.icc import ProfileError, profile_of

# {colour space of a profile: mode of the images that it describes}
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
# Profiles of devices and colour spaces; the others (links, effects) describe no image.
_CLASSES = ("scnr", "mntr", "prtr", "spac")
# Largest difference, in 8-bit levels, at which a profile counts as sRGB.
_SRGB_TOLERANCE = 2
# Profiles with more bytes are not cached, nor are their transforms: a JPEG may hold
# one of 16 MB.
_LARGE = 1 << 21


def to_srgb(
    image: Image.Image, info: Mapping[str, Any], warn: Callable[[str], None]
) -> Image.Image:
    """Converts an image with 8 bits per channel to RGB in sRGB, without alpha.

    Args:
        image: of any mode with 8 bits or 1 bit per channel.
        info: `info` of the loaded image, see `icc.profile_of`.
        warn: called with a message if the profile is broken or made for images of
            another kind; it is then ignored, as viewers do.
    """
    try:
        profile = profile_of(info)
        if profile and image.mode != "LAB":  # Lab needs no profile.
            make = _transform if len(profile) > _LARGE else _cached_transform
            mode, transform = make(profile)
            if transform is not None:
                converted = transform.apply(_channels(image, mode))
                converted.info.clear()  # It holds Pillow's sRGB profile.
                return converted
    except ProfileError as error:
        warn(f"its colour profile is ignored: {error}")
    return image.convert("RGB")


def _channels(image: Image.Image, mode: str) -> Image.Image:
    """Returns the channels that a profile for `mode` describes.

    Raises:
        ProfileError: if the image has other channels.
    """
    if (image.mode == "CMYK") == (mode == "CMYK"):
        if mode != "L":
            return image.convert(mode)
        if image.mode in ("L", "1"):
            return image.convert("L")
        red, green, blue = image.convert("RGB").split()
        if red == green == blue:  # Grey, in a format without grey.
            return red
    kind = "grey" if mode == "L" else mode
    raise ProfileError(f"it is for {kind} images, this one is {image.mode}")


def _transform(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """Returns the mode that a profile describes and its transform; None for sRGB.

    Raises:
        ProfileError: if the profile is unreadable or describes no image.
    """
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        facts = opened.profile
        space, device_class = facts.xcolor_space.strip(), facts.device_class
        if device_class not in _CLASSES or space not in _MODES:
            raise ProfileError(
                f"its class {device_class!r} with the colour space {space!r} is not "
                "supported"
            )
        mode = _MODES[space]
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if mode != "CMYK" and _changes_little(transform, mode):
            transform = None
    except ProfileError:
        raise
    except Exception as error:  # Pillow raises several kinds.
        raise ProfileError(f"it cannot be read ({error})") from None
    return mode, transform


# Most photos of a folder share their profile.
_cached_transform = functools.lru_cache(maxsize=16)(_transform)


def _changes_little(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a transform leaves all greys and a grid of colours as they are."""
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, np.newaxis], 3, axis=1)
    levels = np.linspace(0, 255, 6).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    colours = (
        np.concatenate([greys, grid])[np.newaxis] if mode == "RGB" else greys[None]
    )
    before = Image.fromarray(colours)
    after = np.asarray(transform.apply(before.convert(mode)))
    return np.abs(after.astype(int) - colours).max() <= _SRGB_TOLERANCE
