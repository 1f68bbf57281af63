"""Tiny synthetic pictures and data sets."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_pipeline.convert import convert_saliency

ORIENTATION = 0x0112


def picture(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    """Noise, so that no two pixels are alike: uint8 `(height, width, 3)`."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, array: np.ndarray, *, orientation: int = 1, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation != 1:
        exif[ORIENTATION] = orientation
    Image.fromarray(array).save(path, exif=exif, **options)
    return path


def make_pairs(folder: Path, count: int, *, height: int = 24, width: int = 32) -> Path:
    """`images/` and `masks/` of PNGs; the mask is the image's red channel."""
    for number in range(count):
        image = picture(number, height, width)
        save(folder / "images" / f"im{number}.png", image)
        save(folder / "masks" / f"im{number}.png", image[..., 0])
    return folder


@pytest.fixture(scope="session")
def converted(tmp_path_factory) -> Path:
    """Ten pairs in shards of 4, 4 and 2; each mask is its image's red channel."""
    folder = make_pairs(tmp_path_factory.mktemp("pairs"), 10)
    output = folder / "converted"
    convert_saliency(
        folder / "images", folder / "masks", output, name="ten", shard_size=4, workers=1
    )
    return output
