"""Image files with colour profiles and transparency, valid and damaged."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image, ImageCms

from picanet_tf.core.images import over_white, read_image
from tests.core import image_files
from tests.core.image_files import encoded, png
from tests.faults.mutations import spoil_bytes
from tests.faults.outcomes import ERROR, Attempt, result_or_error, rule
from tests.faults.pictures import (
    HEIGHT,
    MOST_PIXELS,
    WIDTH,
    export_decoder,
    photo,
    try_export,
    try_image,
)

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def profiles() -> dict[str, bytes]:
    """{name: profile}, all of them sound."""
    grid = np.ndindex(2, 2, 2, 2)
    inks = {ink: (100 - 24 * sum(ink), 20 * ink[1], 30 * ink[2]) for ink in grid}
    curve = image_files.SRGB_CURVE
    return {
        "sRGB": SRGB,
        "Display P3": image_files.rgb_profile(image_files.DISPLAY_P3, curve),
        "Adobe RGB": image_files.rgb_profile(image_files.ADOBE_RGB, (563 / 256,)),
        "grey": image_files.grey_profile(1.8),
        "CMYK": image_files.cmyk_profile(inks),
        "Lab": ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        "XYZ": ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes(),
    }


def _profile(rng: random.Random, sound: dict[str, bytes]) -> tuple[bytes, bool]:
    """A profile, and whether it is sRGB for certain."""
    name = rng.choice(sorted(sound))
    profile = sound[name]
    how = rng.random()
    if how < 0.3:
        return profile, name == "sRGB"
    if how < 0.4:
        return profile[: rng.randrange(1, len(profile))], False
    if how < 0.5:
        return rng.randbytes(rng.choice((1, 100, 128, 132, 3000))), False
    if how < 0.6:  # Another class, colour space or connection space than it has.
        place = rng.choice((12, 16, 20))
        kind = rng.choice(
            (b"link", b"abst", b"nmcl", b"prtr", b"GRAY", b"CMYK", b"Lab ")
        )
        return profile[:place] + kind + profile[place + 4 :], False
    return spoil_bytes(rng, profile) or b"\0", False


def _image(rng: random.Random) -> tuple[Image.Image, str]:
    """An image of any mode, and a format that stores it."""
    mode = rng.choice(("RGB", "RGB", "L", "1", "P", "LA", "RGBA", "CMYK", "I;16"))
    formats = {
        "RGB": ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF"),
        "L": ("JPEG", "PNG", "TIFF", "AVIF", "HEIF"),
        "RGBA": ("PNG", "TIFF", "WEBP", "AVIF", "HEIF"),
        "CMYK": ("JPEG", "TIFF"),
        "I;16": ("PNG", "TIFF"),
    }
    image = photo(rng.randrange(100))
    if mode == "I;16":
        deep = np.asarray(image.convert("L")).astype(np.uint16) * rng.choice(
            (4, 16, 257)
        )
        return Image.fromarray(deep), rng.choice(formats[mode])
    if mode in ("LA", "RGBA"):
        image.putalpha(photo(rng.randrange(100)).convert("L"))
    return image.convert(mode), rng.choice(formats.get(mode, ("PNG", "TIFF")))


def make_profiles(folder: Path) -> Attempt:
    folder.mkdir(parents=True, exist_ok=True)
    pillow_heif.register_heif_opener()
    sound = profiles()

    def attempt(rng: random.Random) -> str:
        profile, is_srgb = _profile(rng, sound)
        image, file_format = _image(rng)
        path = folder / f"photo.{file_format.lower()}"
        if rng.random() < 0.2:
            data = _described_by_numbers(rng)
            path, is_srgb = path.with_suffix(".png"), False
        else:
            data = encoded(image, file_format, icc_profile=profile)
        if rng.random() < 0.1:
            data, is_srgb = spoil_bytes(rng, data), False
        path.write_bytes(data)
        outcome = try_image(path, data)
        kept = _read_with_alpha(path)
        if kept is None:
            return ERROR
        if is_srgb:
            bare = read_image(encoded(image, file_format), keep_alpha=True)
            rule(np.array_equal(bare, kept), "sRGB changes the picture")
        return outcome

    return attempt


def _read_with_alpha(path: Path) -> np.ndarray | None:
    """The pixels of a file with its alpha, which over white must be those without it.

    None if it cannot be read.
    """
    options = {"max_pixels": MOST_PIXELS}
    kept, error = result_or_error(
        lambda: read_image(path, **options, keep_alpha=True), path
    )
    if error:
        return None
    plain = read_image(path, **options)
    rule(np.array_equal(over_white(kept), plain), "alpha changes the picture")
    return kept


def _described_by_numbers(rng: random.Random) -> bytes:
    """A PNG with chunks that say what its colours are."""
    makers = {
        b"gAMA": lambda: struct.pack(">I", rng.choice((45_455, 55_556, 0, 2**31, 7))),
        b"cHRM": lambda: struct.pack(
            ">8I", *(rng.choice((31_270, 64_000, 6_000, 0, 10**9)) for _ in range(8))
        ),
        b"cICP": lambda: bytes(
            rng.choice((1, 2, 9, 12, 13, 16, 18, 200)) for _ in "abcd"
        ),
        b"sRGB": lambda: b"\0",
        b"sBIT": lambda: rng.randbytes(3),
    }
    names = rng.sample(sorted(makers), rng.randrange(1, 4))
    chunks = {name: makers[name]() for name in names}
    if rng.random() < 0.3:  # Of a wrong length.
        name = rng.choice(names)
        chunks[name] = rng.randbytes(rng.randrange(40))
    rows = [row.tobytes() for row in np.asarray(photo())]
    return png(8, image_files.RGB, WIDTH, rows, chunks)


def make_transparency(folder: Path) -> Attempt:
    folder.mkdir(parents=True, exist_ok=True)
    pillow_heif.register_heif_opener()
    decode = export_decoder()

    def attempt(rng: random.Random) -> str:
        name, data, is_exact = _transparent(rng)
        if rng.random() < 0.2:
            data, is_exact = spoil_bytes(rng, data), False
        path = folder / name
        path.write_bytes(data)
        outcome = try_image(path, data)
        kept = _read_with_alpha(path)
        if kept is None:
            return ERROR
        rule(kept.shape[2] == 3 or kept[..., 3].min() < 255, "alpha for nothing")
        plain = over_white(kept)
        if path.suffix == ".png":
            rule(not is_exact or try_export(decode, data, path) != ERROR, "export")
            if is_exact:
                import tensorflow as tf

                exported = decode(tf.constant(data)).numpy().astype(int)
                rule(np.abs(exported - plain).max() <= 1, "the export sees another")
        return outcome

    return attempt


def _transparent(rng: random.Random) -> tuple[str, bytes, bool]:
    """(name, file, whether the export must see the same)."""
    if rng.random() < 0.3:
        image = photo(rng.randrange(100))
        image.putalpha(photo(rng.randrange(100)).convert("L"))
        mode, kind = rng.choice(
            (("RGBA", "png"), ("LA", "png"), ("RGBA", "tiff"), ("LA", "tiff"),
             ("RGBA", "webp"), ("RGBA", "avif"), ("RGBA", "heif"), ("RGBA", "gif"))
        )  # fmt: skip
        return f"a.{kind}", encoded(image.convert(mode), kind.upper()), kind == "png"
    bits, colour_type = rng.choice(
        ((1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2),
         (1, 3), (2, 3), (4, 3), (8, 3))
    )  # fmt: skip
    channels = 3 if colour_type == image_files.RGB else 1
    length = (WIDTH * bits * channels + 7) // 8
    rows = [rng.randbytes(length) for _ in range(HEIGHT)]
    chunks = {}
    if colour_type == image_files.PALETTE:
        colours = 2**bits
        chunks[b"PLTE"] = rng.randbytes(3 * colours)
        chunks[b"tRNS"] = rng.randbytes(rng.randrange(1, colours + 1))
    else:
        values = [rng.randrange(2**bits) for _ in range(channels)]
        chunks[b"tRNS"] = struct.pack(f">{channels}H", *values)
        if colour_type == image_files.RGB and rng.random() < 0.7:
            size = 3 * bits // 8
            pixel = rows[3][:size]  # A colour that the image has.
            chunks[b"tRNS"] = bytes(
                byte for value in pixel for byte in (0, value)
            ) if bits == 8 else pixel  # fmt: skip
    is_exact = True
    if rng.random() < 0.2:  # Of a wrong length, or values beyond the depth.
        chunks[b"tRNS"] = rng.randbytes(rng.randrange(0, 300))
        is_exact = False
    return "a.png", png(bits, colour_type, WIDTH, rows, chunks), is_exact


KINDS = {"profiles": make_profiles, "transparency": make_transparency}
