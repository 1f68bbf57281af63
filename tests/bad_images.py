"""Image files as users have them: damaged ones, and unusual ones that are valid.

    path = bad_images.write(tmp_path, "truncated")

Every command must read each of them, or name the file and say why it cannot.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pillow_heif
from PIL import Image

from tests.core.image_files import DISPLAY_P3, SRGB_CURVE, rgb_profile

WIDTH, HEIGHT = 45, 30


class Case(NamedTuple):
    """One file.

    Attributes:
        file: its name.
        size: (width, height) in pixels, as shown; None if it cannot be read.
        reason: what errors say of one that cannot.
    """

    file: str
    size: tuple[int, int] | None = (WIDTH, HEIGHT)
    reason: str = ""


CASES = {
    "truncated": Case("truncated.jpg", None, "image file is truncated"),
    "text": Case("text.jpg", None, "not an image of a known format"),
    "nothing": Case("nothing.png", None, "not an image of a known format"),
    "16-bit": Case("deep.png"),
    "palette": Case("palette.png"),
    "CMYK": Case("cmyk.jpg"),
    "pixel": Case("pixel.png", (1, 1)),
    "long": Case("long.png", (20_000, 10)),
    "animated": Case("animated.gif"),
    "turned": Case("turned.jpg", (HEIGHT, WIDTH)),  # by its EXIF orientation
    "transparent": Case("transparent.png"),
    "wide gamut": Case("wide.jpg"),
    "HEIC": Case("phone.heic"),
}
BAD = tuple(name for name, case in CASES.items() if case.size is None)
GOOD = tuple(name for name, case in CASES.items() if case.size is not None)


def half(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """A mask, mode L: black, with a white right half; one pixel is white."""
    values = np.zeros((height, width), np.uint8)
    values[:, width // 2 :] = 255
    return Image.fromarray(values)


def write(folder: Path, name: str) -> Path:
    """Writes one of `CASES`, a picture that is also a mask with one object."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CASES[name].file
    picture = half()
    if name == "truncated":
        noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
        whole = io.BytesIO()
        Image.fromarray(noise).save(whole, "JPEG")
        path.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    elif name == "text":
        path.write_text("no photo")
    elif name == "nothing":
        path.touch()
    elif name == "16-bit":
        Image.fromarray(np.asarray(picture).astype(np.uint16) * 257).save(path)
    elif name == "palette":
        picture.convert("P").save(path)
    elif name == "CMYK":
        picture.convert("RGB").convert("CMYK").save(path)
    elif name in ("pixel", "long"):
        half(*CASES[name].size).convert("RGB").save(path)
    elif name == "animated":
        black = Image.new("L", picture.size)
        picture.save(path, save_all=True, append_images=[black])
    elif name == "turned":
        exif = Image.Exif()
        exif[274] = 6  # a quarter, clockwise
        picture.convert("RGB").save(path, exif=exif)
    elif name == "transparent":
        Image.merge("LA", [Image.new("L", picture.size, 255), picture]).save(path)
    elif name == "wide gamut":
        profile = rgb_profile(DISPLAY_P3, SRGB_CURVE)
        picture.convert("RGB").save(path, icc_profile=profile)
    elif name == "HEIC":
        pillow_heif.register_heif_opener()
        picture.save(path, quality=100)
    return path


def write_all(folder: Path, names: Iterable[str] = CASES) -> list[Path]:
    """Writes several into one folder."""
    return [write(folder, name) for name in names]
