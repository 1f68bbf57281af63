"""PASCAL VOC 2012 as distributed: its lists, and SBD's extra class maps.

    VOCdevkit/VOC2012/
        JPEGImages/*.jpg
        SegmentationClass/*.png
        ImageSets/Segmentation/{train,val,trainval}.txt

The lists name the images. SBD (Hariharan et al., 2011) has class maps of 11,355 images
of VOC; with them the training list has 10,582 when those of VOC's validation list are
left out, which the field calls `train_aug`.
"""

import os
from pathlib import Path

from data_pipeline import images
from data_pipeline.errors import UserError
from data_pipeline.pairs import BadFile, Pair

SPLITS = ("train", "val", "trainval")
# Images of the complete lists, without SBD's.
COUNTS = {"train": 1464, "val": 1449, "trainval": 2913}
_LISTS = "ImageSets/Segmentation"
_ROOTS = ("", "VOC2012", "VOCdevkit/VOC2012")
# Folders of SBD's `benchmark_RELEASE/dataset` and of conversions to PNG.
_SBD_MASKS = ("cls", "dataset/cls", "benchmark_RELEASE/dataset/cls", "")


def find_voc(source: str | os.PathLike) -> Path:
    """The folder that holds `JPEGImages` and the rest.

    Args:
        source: that folder, `VOCdevkit`, or the one that holds it.

    Raises:
        UserError: it is not there; says what was looked for.
    """
    for root in _ROOTS:
        folder = Path(source) / root
        if (folder / _LISTS).is_dir():
            return folder
    raise UserError(
        f"--source {source}: no PASCAL VOC 2012 here. Looked for "
        f"ImageSets/Segmentation in it and in {' and '.join(filter(None, _ROOTS))}"
    )


def voc_pairs(
    source: str | os.PathLike,
    split: str = "train",
    sbd: str | os.PathLike | None = None,
) -> tuple[list[Pair], list[BadFile]]:
    """Images and class maps of a split.

    Args:
        source: as of `find_voc`.
        split: `"train"`, `"val"` or `"trainval"`.
        sbd: folder of SBD, or of its masks as PNGs (`SegmentationClassAug`): their
            images are added, those of `val` and those that the list has already are
            not. Not with `"val"`.

    Returns:
        Pairs in the order of the list, SBD's behind in natural order; and the files
        that are missing.

    Raises:
        UserError: no such split, list or folder.
    """
    if split not in SPLITS:
        raise UserError(
            f"--split of voc2012 must be {', '.join(SPLITS)}. Received: {split!r}"
        )
    if sbd and split == "val":
        raise UserError("--sbd adds training images; --split val takes none")
    root = find_voc(source)
    pairs: list[Pair] = []
    bad: list[BadFile] = []
    for name in names_of(root / _LISTS, split):
        mask = root / "SegmentationClass" / f"{name}.png"
        add(Pair(name, root / "JPEGImages" / f"{name}.jpg", mask), pairs, bad)
    if sbd:
        known = {
            name for each in {split, "val"} for name in names_of(root / _LISTS, each)
        }
        for mask in _sbd_masks(Path(sbd)):
            if mask.stem not in known:
                image = root / "JPEGImages" / f"{mask.stem}.jpg"
                own = mask.parent.parent / "img" / image.name  # SBD brings its images
                add(Pair(mask.stem, own if own.is_file() else image, mask), pairs, bad)
    return pairs, bad


def names_of(lists: Path, split: str) -> list[str]:
    """The images of a split, in the order of `<lists>/<split>.txt`.

    Raises:
        UserError: there is no such list, or it has an image twice.
    """
    path = lists / f"{split}.txt"
    if path.is_file():
        names = path.read_text().split()
    elif split == "trainval":  # is the other two
        names = sorted({*names_of(lists, "train"), *names_of(lists, "val")})
    else:
        raise UserError(f"{path}: missing, the list of the images of --split {split}")
    if len(set(names)) < len(names):
        raise UserError(f"{path}: an image is listed twice")
    return names


def add(pair: Pair, pairs: list[Pair], bad: list[BadFile]) -> None:
    """A pair whose files are there, to `pairs`; those that are missing, to `bad`."""
    missing = [path for path in (pair.image, pair.mask) if not path.is_file()]
    bad.extend(BadFile(str(path), "missing, but listed") for path in missing)
    if not missing:
        pairs.append(pair)


def _sbd_masks(folder: Path) -> list[Path]:
    for name in _SBD_MASKS:
        if (folder / name).is_dir():
            files = [*(folder / name).glob("*.mat"), *(folder / name).glob("*.png")]
            if files:
                return sorted(files, key=lambda path: images.natural_key(path.stem))
    raise UserError(
        f"--sbd {folder}: no class maps here. Looked for .mat and .png files in it and "
        f"in {' and '.join(filter(None, _SBD_MASKS))}"
    )
