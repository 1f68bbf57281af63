"""PASCAL VOC's objects as distributed: the lists of 2007 and 2012.

    VOCdevkit/VOC2007/
        JPEGImages/*.jpg
        Annotations/*.xml
        ImageSets/Main/{train,val,trainval,test}.txt

SSD is trained on both trainval lists together (`voc0712`) and tested on 2007's test.
Imports no TensorFlow.
"""

import os
from pathlib import Path

from data_pipeline import voc
from data_pipeline.errors import UserError
from data_pipeline.pairs import BadFile, Pair

SPLITS = ("trainval", "train", "val", "test")
# {--dataset: name in the manifest}
TITLES = {"voc2007": "VOC2007", "voc2012-objects": "VOC2012", "voc0712": "VOC07+12"}
_YEARS = {
    "voc2007": ("2007",),
    "voc2012-objects": ("2012",),
    "voc0712": ("2007", "2012"),
}
# Images of the complete lists. 2012's test set has no public annotations.
_COUNTS = {
    "2007": {"trainval": 5011, "train": 2501, "val": 2510, "test": 4952},
    "2012": {"trainval": 11540, "train": 5717, "val": 5823},
}


def splits_of(dataset: str) -> tuple[str, ...]:
    """The splits that all years of a data set have."""
    years = _YEARS[dataset]
    return tuple(s for s in SPLITS if all(s in _COUNTS[year] for year in years))


def count(dataset: str, split: str) -> int | None:
    """Images of the complete split; None of one that there is not."""
    if split not in splits_of(dataset):
        return None
    return sum(_COUNTS[year][split] for year in _YEARS[dataset])


def find_voc(source: str | os.PathLike, year: str) -> Path:
    """The folder that holds `JPEGImages` and the rest.

    Args:
        source: that folder, `VOCdevkit`, or the one that holds it.
        year: `"2007"` or `"2012"`.

    Raises:
        UserError: it is not there; says what was looked for.
    """
    roots = (f"VOC{year}", f"VOCdevkit/VOC{year}")
    # The folder itself, unless it says of itself that it is another year's.
    own = () if Path(source).resolve().name in _others(year) else ("",)
    for root in (*roots, *own):
        folder = Path(source) / root
        if (folder / "ImageSets" / "Main").is_dir():
            return folder
    raise UserError(
        f"--source {source}: no objects of PASCAL VOC {year} here. Looked for "
        f"ImageSets/Main in it and in {' and '.join(roots)}"
    )


def voc_pairs(
    dataset: str, source: str | os.PathLike, split: str = SPLITS[0]
) -> tuple[list[Pair], list[BadFile]]:
    """Images and annotations of a split.

    Args:
        dataset: key of `TITLES`.
        source: as of `find_voc`; of both years: `VOCdevkit`, or what holds it.
        split: one of `splits_of(dataset)`.

    Returns:
        Pairs in the order of the lists, `mask` being the XML file; and the files that
        are missing.

    Raises:
        UserError: no such split, list or folder.
    """
    if split not in splits_of(dataset):
        raise UserError(
            f"--split of {dataset} must be {', '.join(splits_of(dataset))}. "
            f"Received: {split!r}"
        )
    pairs: list[Pair] = []
    bad: list[BadFile] = []
    for year in _YEARS[dataset]:
        root = find_voc(source, year)
        for name in voc.names_of(root / "ImageSets" / "Main", split):
            image = root / "JPEGImages" / f"{name}.jpg"
            annotation = root / "Annotations" / f"{name}.xml"
            voc.add(Pair(name, image, annotation), pairs, bad)
    return pairs, bad


def _others(year: str) -> set[str]:
    return {f"VOC{other}" for other in _COUNTS if other != year}
