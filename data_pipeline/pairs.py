"""Pairs of files, an image and its ground truth, found by their names.

Imports no TensorFlow.
"""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from picanet_tf.core import images

_JPEG_EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif")


@dataclass(frozen=True)
class Pair:
    """An image and the file with its ground truth.

    Attributes:
        key: the name that both share, without extension.
        image: the image file.
        truth: a mask, a class map, or an XML file with boxes.
    """

    key: str
    image: Path
    truth: Path


@dataclass(frozen=True)
class BadFile:
    """A file that cannot be used, and why."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


def pair_by_name(
    image_folder: str | os.PathLike, mask_folder: str | os.PathLike
) -> tuple[list[Pair], list[BadFile]]:
    """Pairs the files of two folders by their names without extension.

    The same folder may be given twice: its JPEGs are the images, its PNGs the masks.

    Returns:
        The pairs in natural order of their keys, and the files that have no partner
        or share their name with another file of the same folder.

    Raises:
        PicanetError: a folder does not exist.
    """
    image_files = images.list_images(image_folder)
    mask_files = images.list_images(mask_folder)
    if Path(image_folder).resolve() == Path(mask_folder).resolve():
        image_files = [p for p in image_files if p.suffix.lower() in _JPEG_EXTENSIONS]
        mask_files = [p for p in mask_files if p.suffix.lower() == ".png"]

    bad: list[BadFile] = []
    image_of = _group_by_stem(image_files, bad)
    mask_of = _group_by_stem(mask_files, bad)
    pairs = []
    for key in sorted(image_of.keys() | mask_of.keys(), key=images.natural_key):
        if key not in mask_of:
            reason = f"no mask of this name in {mask_folder}"
            bad.extend(BadFile(str(path), reason) for path in image_of[key])
        elif key not in image_of:
            reason = f"no image of this name in {image_folder}"
            bad.extend(BadFile(str(path), reason) for path in mask_of[key])
        elif len(image_of[key]) == 1 and len(mask_of[key]) == 1:
            pairs.append(Pair(key, image_of[key][0], mask_of[key][0]))
    return pairs, bad


def _group_by_stem(files: list[Path], bad: list[BadFile]) -> dict[str, list[Path]]:
    """Groups files by stem; files whose stem is taken are also added to `bad`."""
    groups = defaultdict(list)
    for path in files:
        groups[path.stem].append(path)
    for group in groups.values():
        for path in group[1:]:
            bad.append(BadFile(str(path), f"has the same name as {group[0].name}"))
    return groups
