"""The known data sets: how they are laid out on disk, their splits and sizes.

A literal table.  `find_folders` looks a data set up below the folder that a user
names, which may be the data set's own folder or its parent.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from data_pipeline.errors import UserError

# A folder of images and a folder of masks, relative to the data set's folder.  The
# same folder twice means that both lie together: images are .jpg, masks .png.
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
class Source:
    """One split of one data set, as distributed.

    Attributes:
        title: the name in papers; the converted data set's `name`.
        folders: what the data set's own folder is called, most usual first.
        layouts: candidate (images, masks) folders, in the order they are tried.
        count: pairs in the complete data set.
    """

    title: str
    folders: tuple[str, ...]
    layouts: tuple[Layout, ...]
    count: int


SALIENCY: dict[str, dict[str, Source]] = {
    "duts": {
        "train": Source(
            "DUTS-TR",
            ("DUTS-TR", "DUTS/DUTS-TR"),
            (("DUTS-TR-Image", "DUTS-TR-Mask"),),
            10_553,
        ),
        "test": Source(
            "DUTS-TE",
            ("DUTS-TE", "DUTS/DUTS-TE"),
            (("DUTS-TE-Image", "DUTS-TE-Mask"),),
            5_019,
        ),
    },
    "ecssd": {
        "test": Source(
            "ECSSD", ("ECSSD",), (("images", "ground_truth_mask"), *_COMMON), 1_000
        ),
    },
    "pascal-s": {
        "test": Source(
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
        "test": Source(
            "HKU-IS", ("HKU-IS", "HKUIS", "HKU_IS"), (("imgs", "gt"), *_COMMON), 4_447
        ),
    },
    "dut-omron": {
        "test": Source(
            "DUT-OMRON",
            ("DUT-OMRON", "DUTOMRON", "DUT_OMRON", "DUT-O", "OMRON"),
            (
                # The archives unpack into folders of their own name.
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
        "test": Source("SOD", ("SOD",), (("Imgs", "Imgs"), *_COMMON), 300),
    },
}


def lookup(
    dataset: str, split: str | None = None, others: Iterable[str] = ()
) -> Source:
    """A data set by the name that users type; `_` and capitals do not matter.

    Args:
        dataset: a key of `SALIENCY`.
        split: "train" or "test"; by default the first that the data set has.
        others: names that may be typed besides, for errors.

    Raises:
        UserError: an unknown data set, or one without this split.
    """
    splits = SALIENCY.get(dataset.lower().replace("_", "-"))
    if splits is None:
        raise UserError(
            f"--dataset must be one of {', '.join([*SALIENCY, 'pairs', *others])}. "
            f"Received: {dataset!r}"
        )
    if split is None:
        return next(iter(splits.values()))
    if split not in splits:
        raise UserError(
            f"--split of --dataset {dataset} must be {' or '.join(splits)}. "
            f"Received: {split!r}"
        )
    return splits[split]


def find_folders(source: Source, folder: str | os.PathLike) -> tuple[Path, Path]:
    """Finds the images and masks of a data set.

    Args:
        source: which data set.
        folder: its own folder, or the one that holds it.  Capitals below it do not
            matter.

    Returns:
        The folder of images and the folder of masks; equal if both lie together.

    Raises:
        UserError: `folder` is missing or holds none of the layouts; names them all.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "not a folder" if folder.exists() else "no such folder"
        raise UserError(f"--source {folder}: {what}")
    for root in _roots(source, folder):
        for images, masks in source.layouts:
            found = _descend(root, images), _descend(root, masks)
            if found[0] is not None and found[1] is not None:
                if images != masks or _holds(found[0], ".jpg", ".png"):
                    return found
    tried = "; ".join(
        f"{images} with .jpg and .png together"
        if images == masks
        else f"{images} + {masks}"
        for images, masks in dict.fromkeys(source.layouts)
    )
    raise UserError(
        f"--source {folder}: no {source.title} here or in a folder named "
        f"{' or '.join(source.folders)}. Looked for (images + masks): {tried}"
    )


def _roots(source: Source, folder: Path) -> Iterator[Path]:
    for name in source.folders:
        root = _descend(folder, name)
        if root is not None:
            yield root
    yield folder


def _descend(root: Path, relative: str) -> Path | None:
    """`root / relative` if it is a folder, an exact name before one in other case."""
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
    found = {path.suffix.lower() for path in folder.iterdir()}
    return found.issuperset(suffixes)
