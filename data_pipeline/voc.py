"""PASCAL VOC as distributed, and SBD's additional class maps. Imports no TensorFlow.

    VOCdevkit/VOC2012/
        JPEGImages/*.jpg
        SegmentationClass/*.png    ImageSets/Segmentation/{train,val,trainval}.txt
        Annotations/*.xml          ImageSets/Main/{train,val,trainval,test}.txt

The lists name the images. SBD (Hariharan et al., 2011) has class maps of 11,355 images
of VOC; with them, and without the images of VOC's validation list, the training list
has 10,582 images, known as `train_aug`.

SSD is trained on the trainval lists of 2007 and 2012 together (`voc0712`), and tested
on the test list of 2007.
"""

import os
from collections import Counter
from pathlib import Path

from data_pipeline.pairs import BadFile, Pair
from picanet_tf.core import images
from picanet_tf.core.errors import PicanetError

# Class maps of VOC2012. The counts are those of the complete lists, without SBD.
CLASS_MAP_SPLITS = ("train", "val", "trainval")
CLASS_MAP_COUNTS = {"train": 1464, "val": 1449, "trainval": 2913}
# {data set with boxes: its name in the manifest}
BOX_TITLES = {"voc2007": "VOC2007", "voc2012-objects": "VOC2012", "voc0712": "VOC07+12"}
BOX_SPLITS = ("trainval", "train", "val", "test")
_BOX_YEARS = {
    "voc2007": ("2007",),
    "voc2012-objects": ("2012",),
    "voc0712": ("2007", "2012"),
}
# Numbers of images in the complete lists. The test set of 2012 has no public
# annotations.
_BOX_COUNTS = {
    "2007": {"trainval": 5011, "train": 2501, "val": 2510, "test": 4952},
    "2012": {"trainval": 11540, "train": 5717, "val": 5823},
}
# The folders of SBD's `benchmark_RELEASE/dataset` and of conversions to PNG.
_SBD_FOLDERS = ("cls", "dataset/cls", "benchmark_RELEASE/dataset/cls", "")


def pair_class_maps(
    source: str | os.PathLike,
    split: str = CLASS_MAP_SPLITS[0],
    sbd: str | os.PathLike | None = None,
) -> tuple[list[Pair], list[BadFile]]:
    """Finds the images and class maps of a split of VOC2012.

    Args:
        source: `VOC2012`, `VOCdevkit`, or the folder that contains `VOCdevkit`.
        split: one of `CLASS_MAP_SPLITS`.
        sbd: the folder of SBD, or of its masks as PNGs (`SegmentationClassAug`). Its
            images are added, except those of the split and those of `val`. Not
            accepted with `val`.

    Returns:
        The pairs in the order of the list, then SBD's in natural order; and the files
        that are missing.

    Raises:
        PicanetError: if there is no such split, list or folder.
    """
    if split not in CLASS_MAP_SPLITS:
        raise PicanetError(
            f"`split` of voc2012 must be {', '.join(CLASS_MAP_SPLITS)}. "
            f"Received: {split!r}"
        )
    if sbd and split == "val":
        raise PicanetError("`sbd` adds training images; `split` val takes none")
    root = _find_root(source, "2012", "Segmentation")
    lists = root / "ImageSets" / "Segmentation"
    pairs: list[Pair] = []
    bad: list[BadFile] = []
    for name in _read_list(lists, split):
        class_map = root / "SegmentationClass" / f"{name}.png"
        image = root / "JPEGImages" / f"{name}.jpg"
        _add_pair(Pair(name, image, class_map), pairs, bad)
    if sbd:
        known = {name for each in {split, "val"} for name in _read_list(lists, each)}
        for class_map in _find_sbd_class_maps(Path(sbd)):
            name = class_map.stem
            if name not in known:
                image = root / "JPEGImages" / f"{name}.jpg"
                # SBD is distributed with its images.
                own = class_map.parent.parent / "img" / image.name
                image = own if own.is_file() else image
                _add_pair(Pair(name, image, class_map), pairs, bad)
    return pairs, bad


def pair_boxes(
    dataset: str, source: str | os.PathLike, split: str = BOX_SPLITS[0]
) -> tuple[list[Pair], list[BadFile]]:
    """Finds the images and XML annotations of a split of VOC 2007, 2012 or both.

    Args:
        dataset: a key of `BOX_TITLES`.
        source: the year's folder, `VOCdevkit`, or the folder that contains `VOCdevkit`.
        split: one of `box_splits(dataset)`.

    Returns:
        The pairs in the order of the lists, and the files that are missing.

    Raises:
        PicanetError: if there is no such split, list or folder.
    """
    if split not in box_splits(dataset):
        raise PicanetError(
            f"`split` of {dataset} must be {', '.join(box_splits(dataset))}. "
            f"Received: {split!r}"
        )
    pairs: list[Pair] = []
    bad: list[BadFile] = []
    for year in _BOX_YEARS[dataset]:
        root = _find_root(source, year, "Main")
        for name in _read_list(root / "ImageSets" / "Main", split):
            image = root / "JPEGImages" / f"{name}.jpg"
            annotation = root / "Annotations" / f"{name}.xml"
            _add_pair(Pair(name, image, annotation), pairs, bad)
    return pairs, bad


def box_splits(dataset: str) -> tuple[str, ...]:
    """Returns the splits that all years of a data set have."""
    years = _BOX_YEARS[dataset]
    return tuple(s for s in BOX_SPLITS if all(s in _BOX_COUNTS[year] for year in years))


def count_boxes(dataset: str, split: str) -> int | None:
    """Returns the number of images of a complete split; None if it does not exist."""
    if split not in box_splits(dataset):
        return None
    return sum(_BOX_COUNTS[year][split] for year in _BOX_YEARS[dataset])


def _find_root(source: str | os.PathLike, year: str, lists: str) -> Path:
    """Returns the folder that contains `JPEGImages` and `ImageSets/<lists>`."""
    roots = [f"VOC{year}", f"VOCdevkit/VOC{year}"]
    # The folder itself, unless it is named after another year.
    others = {f"VOC{other}" for other in _BOX_COUNTS if other != year}
    if Path(source).resolve().name not in others:
        roots.append("")
    for root in roots:
        folder = Path(source) / root
        if (folder / "ImageSets" / lists).is_dir():
            return folder
    raise PicanetError(
        f"`source` {source}: no PASCAL VOC {year} here. Looked for ImageSets/{lists} "
        f"in it and in VOC{year} and VOCdevkit/VOC{year}"
    )


def _read_list(lists: Path, split: str) -> list[str]:
    """Returns the images of a split, in the order of `<lists>/<split>.txt`."""
    path = lists / f"{split}.txt"
    if path.is_file():
        try:
            names = path.read_text("utf-8-sig").split()
        except UnicodeDecodeError as error:
            raise PicanetError(
                f"{path}: a list of images must be UTF-8 text: {error}"
            ) from error
    elif split == "trainval":  # the union of the other two
        names = sorted({*_read_list(lists, "train"), *_read_list(lists, "val")})
    else:
        raise PicanetError(
            f"{path}: missing, the list of the images of `split` {split}"
        )
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise PicanetError(f"{path}: the image {repeated[0]} is listed twice")
    return names


def _add_pair(pair: Pair, pairs: list[Pair], bad: list[BadFile]) -> None:
    """Adds a pair to `pairs` if its files exist; missing files are added to `bad`."""
    missing = [path for path in (pair.image, pair.truth) if not path.is_file()]
    bad.extend(BadFile(str(path), "missing, but listed") for path in missing)
    if not missing:
        pairs.append(pair)


def _find_sbd_class_maps(folder: Path) -> list[Path]:
    for name in _SBD_FOLDERS:
        if (folder / name).is_dir():
            files = [*(folder / name).glob("*.mat"), *(folder / name).glob("*.png")]
            counts = Counter(file.stem for file in files)
            if repeated := [stem for stem, count in counts.items() if count > 1]:
                raise PicanetError(
                    f"`sbd` {folder / name}: the class map {repeated[0]} is there "
                    "twice, as .mat and .png. Keep only one of them"
                )
            if files:
                return sorted(files, key=lambda path: images.natural_key(path.stem))
    raise PicanetError(
        f"`sbd` {folder}: no class maps here. Looked for .mat and .png files in it and "
        f"in {' and '.join(filter(None, _SBD_FOLDERS))}"
    )
