"""The data sets that can be converted: what each is called, and where its files are.

Imports no TensorFlow.
"""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass

from data_pipeline import catalog, voc
from data_pipeline.kinds import BOXES, CLASS_MAP, MASK
from data_pipeline.pairs import BadFile, Pair, pair_by_name
from picanet_tf.core.errors import PicanetError

# Folders that the user names: {dataset: the kind of ground truth in `masks`}
_FOLDERS = {"pairs": MASK, "class-maps": CLASS_MAP}
DATASETS = (
    *catalog.SALIENCY,
    *("pairs", "voc2012", "class-maps"),
    *voc.BOX_TITLES,
)


@dataclass(frozen=True)
class Source:
    """The files of a data set.

    Attributes:
        kind: of the ground truth, see `kinds`.
        find_pairs: finds the pairs, and the files that have no partner.
        origin: where the files are, for messages.
        name: of the data set; empty: that of the folder that is made of it.
        complete: how many pairs the complete data set has, if that is known.
    """

    kind: str
    find_pairs: Callable[[], tuple[list[Pair], list[BadFile]]]
    origin: str
    name: str = ""
    complete: int | None = None


def folder_source(
    images: str | os.PathLike,
    masks: str | os.PathLike,
    *,
    kind: str = MASK,
    name: str = "",
    complete: int | None = None,
) -> Source:
    """Images and masks, or class maps, that are paired by name: see `pair_by_name`."""
    find_pairs = functools.partial(pair_by_name, images, masks)
    return Source(kind, find_pairs, f"{images} and {masks}", name, complete)


def find_source(
    dataset: str,
    *,
    source: str | None = None,
    split: str | None = None,
    images: str | None = None,
    masks: str | None = None,
    sbd: str | None = None,
) -> Source:
    """Finds a data set by its name; `_` and capitals do not matter.

    Args:
        dataset: one of `DATASETS`.
        source: the folder of a known data set, or its parent.
        split: of a known data set; by default its first.
        images, masks: the folders of `pairs` and `class-maps`.
        sbd: of `voc2012`, the folder of SBD.

    Raises:
        PicanetError: an unknown data set or split, a folder that is missing or that
            this data set does not take, or no files where they should be.
    """
    name = dataset.lower().replace("_", "-")
    if name not in DATASETS:
        raise PicanetError(
            f"`dataset` must be one of {', '.join(DATASETS)}. Received: {dataset!r}"
        )
    given = {"source": source, "split": split, "images": images, "masks": masks}
    check = functools.partial(_check_given, dataset, given | {"sbd": sbd})
    if name in _FOLDERS:
        check(needs=("images", "masks"))
        return folder_source(images, masks, kind=_FOLDERS[name])
    if name == "voc2012":
        check(needs=("source",), takes=("split", "sbd"))
        split = split or voc.CLASS_MAP_SPLITS[0]
        return Source(
            CLASS_MAP,
            functools.partial(voc.pair_class_maps, source, split, sbd),
            source,
            f"VOC2012 {split}{' + SBD' * bool(sbd)}",
            None if sbd else voc.CLASS_MAP_COUNTS.get(split),
        )
    if name in voc.BOX_TITLES:
        check(needs=("source",), takes=("split",))
        split = split or voc.BOX_SPLITS[0]
        return Source(
            BOXES,
            functools.partial(voc.pair_boxes, name, source, split),
            source,
            f"{voc.BOX_TITLES[name]} {split}",
            voc.count_boxes(name, split),
        )
    known = catalog.find_split(name, split)
    check(needs=("source",), takes=("split",))
    folders = catalog.find_folders(known, source)
    return folder_source(*folders, name=known.title, complete=known.count)


def _check_given(
    dataset: str,
    given: dict[str, str | None],
    *,
    needs: tuple[str, ...],
    takes: tuple[str, ...] = (),
) -> None:
    for name in needs:
        if not given[name]:
            raise PicanetError(f"`dataset` {dataset} needs `{name}`")
    for name, value in given.items():
        if value and name not in (*needs, *takes):
            raise PicanetError(f"`dataset` {dataset} takes no `{name}`")
