"""Image files of all containers: several pictures in one, turned, named wrongly, given
as paths, bytes, buffers and open files."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

from picanet_tf.core.images import EXTENSIONS
from picanet_tf.inference.sources import to_array
from tests.core.image_files import encoded
from tests.faults.mutations import spoil_bytes
from tests.faults.outcomes import ERROR, READ, Attempt, result_or_error, rule
from tests.faults.pictures import photo

# {format: (options that lose least, largest mean difference)}
_FORMATS: dict[str, tuple[dict, float]] = {
    "PNG": ({}, 0),
    "TIFF": ({}, 0),
    "BMP": ({}, 0),
    "PPM": ({}, 0),
    "WEBP": ({"lossless": True}, 0),
    "GIF": ({}, 12),
    "JPEG": ({"quality": 95, "subsampling": 0}, 2),
    "MPO": ({"quality": 95, "subsampling": 0}, 2),
    "AVIF": ({"quality": 95}, 6),
    "HEIF": ({"quality": 95, "chroma": 444}, 4),
}
# Not AVIF: Pillow 13.0 crashes when it writes several pictures.
_SEVERAL = ("PNG", "TIFF", "WEBP", "GIF", "MPO", "HEIF")
# Not HEIF, whose writer takes EXIF in another way: see tests/core/test_opening.py.
_TURNS = ("PNG", "TIFF", "WEBP", "JPEG", "MPO", "AVIF")
# Of orientation 1 to 8: what a viewer shows of the stored pixels.
_SHOWN: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda pixels: pixels,
    np.fliplr,
    lambda pixels: np.rot90(pixels, 2),
    np.flipud,
    lambda pixels: pixels.swapaxes(0, 1),
    lambda pixels: np.rot90(pixels, -1),
    lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    np.rot90,
)
_GIVEN: dict[str, Callable[[Path, bytes], object]] = {
    "path": lambda path, data: path,
    "text": lambda path, data: str(path),
    "bytes": lambda path, data: data,
    "bytearray": lambda path, data: bytearray(data),
    "memoryview": lambda path, data: memoryview(data),
    "BytesIO": lambda path, data: io.BytesIO(data),
    "file": lambda path, data: open(path, "rb"),
}


def make_containers(folder: Path) -> Attempt:
    folder.mkdir(parents=True, exist_ok=True)
    pillow_heif.register_heif_opener()

    def attempt(rng: random.Random) -> str:
        file_format = rng.choice(sorted(_FORMATS))
        options, difference = _FORMATS[file_format]
        image, options, turn = photo(rng.randrange(100)), dict(options), 1
        if file_format in _SEVERAL and rng.random() < 0.5:
            others = [photo(rng.randrange(100)) for _ in range(rng.randrange(1, 4))]
            options |= {"save_all": True, "append_images": others}
        if file_format in _TURNS and rng.random() < 0.5:
            turn = rng.randrange(1, 9)
            exif = Image.Exif()
            exif[0x0112] = turn
            options["exif"] = exif
        data = encoded(image, file_format, **options)
        is_sound = rng.random() < 0.6
        if not is_sound:
            data = spoil_bytes(rng, data)
        # The extension may be that of another format: the content decides.
        path = folder / f"photo{rng.choice(sorted(EXTENSIONS))}"
        path.write_bytes(data)
        given = rng.choice(sorted(_GIVEN))
        source = _GIVEN[given](path, data)
        try:
            pixels, error = result_or_error(
                lambda: to_array(source, name="a photo"), path, "a photo"
            )
        finally:
            if given == "file":
                source.close()
        rule(not (error and is_sound), "a sound", file_format, "is refused:", error)
        if error:
            return ERROR
        rule(pixels.dtype == np.uint8 and pixels.ndim == 3, pixels.dtype, pixels.shape)
        if is_sound:
            expected = _SHOWN[turn - 1](np.asarray(image))
            rule(pixels.shape == expected.shape, file_format, turn, pixels.shape)
            found = np.abs(pixels.astype(int) - expected).mean()
            rule(found <= difference, file_format, turn, f"differs by {found:.2f}")
        return READ

    return attempt


KINDS = {"containers": make_containers}
