"""Tiny synthetic pictures and data sets."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_pipeline.convert import convert_folders
from data_pipeline.manifest import Manifest, Shard, load_manifest, save_manifest
from picanet_tf.core.files import sha256_of

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
    convert_folders(
        folder / "images", folder / "masks", output, name="ten", shard_size=4, workers=1
    )
    return output


def write_payloads(path: Path, payloads: list[bytes]) -> Shard:
    """Writes records to a TFRecord file; returns what a manifest says about it."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for payload in payloads:
            writer.write(payload)
    return Shard(path.name, len(payloads), path.stat().st_size, sha256_of(path))


def write_dataset(folder: Path, kind: str, payloads: list[bytes]) -> Path:
    """A data set of one shard, whatever its records say."""
    folder.mkdir()
    shard = write_payloads(folder / "00000.tfrecord", payloads)
    save_manifest(Manifest(folder, "written", kind, len(payloads), (shard,)))
    return folder


def rewrite_shard(folder: Path, index: int, payloads: list[bytes]) -> None:
    """Replaces the records of a shard, and makes the manifest agree."""
    manifest = load_manifest(folder)
    shards = list(manifest.shards)
    shards[index] = write_payloads(Path(manifest.paths[index]), payloads)
    count = sum(shard.count for shard in shards)
    save_manifest(dataclasses.replace(manifest, shards=tuple(shards), count=count))


def read_payloads(folder: Path) -> list[bytes]:
    """The records of a data set, in order."""
    return [
        record
        for path in sorted(folder.glob("*.tfrecord"))
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    ]


def flip_bit(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
