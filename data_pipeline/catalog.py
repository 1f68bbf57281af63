"""The known saliency data sets: their layout on disk, their splits and sizes.

`find_folders` finds a data set in the folder that a user gives, which may be the data
set's own folder or its parent. Imports no TensorFlow.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.path_checks import existing_folder

# The folders of images and of masks, relative to the data set's folder. The same folder
# twice means that it contains both: images are .jpg, masks .png.
Layout = tuple[str, str]

_COMMON: tuple[Layout, ...] = (
    ("images", "masks"),
    ("images", "ground_truth_mask"),
    ("imgs", "gt"),
    ("Image", "GT"),
    ("images", "gt"),
    ("Imgs", "GT"),
    ("Imgs", "Imgs"),
)


@dataclass(frozen=True)
class Split:
    """One split of a data set, as distributed.

    Attributes:
        title: its name in papers, and in the manifest.
        folders: possible names of the data set's own folder, the most common first.
        layouts: possible (images, masks) folders, in the order in which to try them.
        count: number of pairs in the complete split.
    """

    title: str
    folders: tuple[str, ...]
    layouts: tuple[Layout, ...]
    count: int


SALIENCY: dict[str, dict[str, Split]] = {
    "duts": {
        "train": Split(
            "DUTS-TR",
            ("DUTS-TR", "DUTS/DUTS-TR"),
            (("DUTS-TR-Image", "DUTS-TR-Mask"),),
            10_553,
        ),
        "test": Split(
            "DUTS-TE",
            ("DUTS-TE", "DUTS/DUTS-TE"),
            (("DUTS-TE-Image", "DUTS-TE-Mask"),),
            5_019,
        ),
    },
    "ecssd": {
        "test": Split(
            "ECSSD", ("ECSSD",), (("images", "ground_truth_mask"), *_COMMON), 1_000
        ),
    },
    "pascal-s": {
        "test": Split(
            "PASCAL-S",
            ("PASCAL-S", "PASCALS", "PASCAL_S", "salObj"),
            (
                ("datasets/imgs/pascal", "datasets/masks/pascal"),
                ("imgs/pascal", "masks/pascal"),
                *_COMMON,
            ),
            850,
        ),
    },
    "hku-is": {
        "test": Split(
            "HKU-IS", ("HKU-IS", "HKUIS", "HKU_IS"), (("imgs", "gt"), *_COMMON), 4_447
        ),
    },
    "dut-omron": {
        "test": Split(
            "DUT-OMRON",
            ("DUT-OMRON", "DUTOMRON", "DUT_OMRON", "DUT-O", "OMRON"),
            (
                # The archives unpack into folders named like themselves.
                (
                    "DUT-OMRON-image/DUT-OMRON-image",
                    "DUT-OMRON-gt-pixelwise/pixelwiseGT-new-PNG",
                ),
                ("DUT-OMRON-image/DUT-OMRON-image", "pixelwiseGT-new-PNG"),
                ("DUT-OMRON-image", "DUT-OMRON-gt-pixelwise/pixelwiseGT-new-PNG"),
                ("DUT-OMRON-image", "pixelwiseGT-new-PNG"),
                *_COMMON,
            ),
            5_168,
        ),
    },
    "sod": {
        "test": Split("SOD", ("SOD",), (("Imgs", "Imgs"), *_COMMON), 300),
    },
}


def find_split(dataset: str, split: str | None = None) -> Split:
    """Returns a split of a data set.

    Args:
        dataset: a key of `SALIENCY`.
        split: "train" or "test"; by default the first that the data set has.

    Raises:
        PicanetError: if the data set does not have this split.
    """
    splits = SALIENCY[dataset]
    if not split:
        return next(iter(splits.values()))
    if split not in splits:
        raise PicanetError(
            f"`split` of {dataset} must be {' or '.join(splits)}. Received: {split!r}"
        )
    return splits[split]


def find_folders(split: Split, folder: str | os.PathLike) -> tuple[Path, Path]:
    """Finds the images and masks of a split.

    Args:
        split: the split to look for.
        folder: the data set's own folder, or its parent. The case of names below it
            does not matter.

    Returns:
        The folder of images and the folder of masks; the same one if it contains both.

    Raises:
        PicanetError: if `folder` is missing, or nothing in it has one of the layouts;
            the message lists them.
    """
    folder = existing_folder(folder, "source")
    for root in _list_roots(split, folder):
        for images, masks in split.layouts:
            found = _descend(root, images), _descend(root, masks)
            if found[0] is not None and found[1] is not None:
                if images != masks or _holds(found[0], ".jpg", ".png"):
                    return found
    tried = "; ".join(
        f"{images} with .jpg and .png together"
        if images == masks
        else f"{images} + {masks}"
        for images, masks in dict.fromkeys(split.layouts)
    )
    raise PicanetError(
        f"`source` {folder}: no {split.title} here or in a folder named "
        f"{' or '.join(split.folders)}. Looked for (images + masks): {tried}"
    )


def _list_roots(split: Split, folder: Path) -> Iterator[Path]:
    for name in split.folders:
        root = _descend(folder, name)
        if root is not None:
            yield root
    yield folder


def _descend(root: Path, relative: str) -> Path | None:
    """Returns `root / relative` if it is a folder, preferring exact names."""
    for part in relative.split("/"):
        if not (root / part).is_dir():
            alike = [
                path
                for path in sorted(root.iterdir())
                if path.name.lower() == part.lower() and path.is_dir()
            ]
            if not alike:
                return None
            part = alike[0].name
        root = root / part
    return root


def _holds(folder: Path, *suffixes: str) -> bool:
    """Whether a folder contains files of all these extensions."""
    found = {path.suffix.lower() for path in folder.iterdir()}
    return found.issuperset(suffixes)
