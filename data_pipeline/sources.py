"""The data sets that can be converted: their names, and where their files are.

Imports no TensorFlow.
"""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass

from data_pipeline import catalog, voc
from data_pipeline.encoding import EncodedExample, ReadMask, encode_pair
from data_pipeline.kinds import BOXES, CLASS_MAP, MASK
from data_pipeline.pairs import BadFile, Pair, pair_by_name
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.masks import read_any_mask

# Data sets in folders given by the user: {name: kind of ground truth in `masks`}
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
        kind: kind of the ground truth, see `kinds`.
        find_pairs: finds the pairs, and the files without a partner.
        origin: where the files are, for messages.
        name: name of the data set; "" for that of the output folder.
        complete: number of pairs in the complete data set; None if unknown.
        read_mask: see `encoding.encode_pair`.
    """

    kind: str
    find_pairs: Callable[[], tuple[list[Pair], list[BadFile]]]
    origin: str
    name: str = ""
    complete: int | None = None
    read_mask: ReadMask | None = None

    def encoder(self, max_pixels: int) -> Callable[[Pair], EncodedExample | list]:
        """Returns `encode_pair` for this data set; it can be pickled."""
        return functools.partial(
            encode_pair,
            kind=self.kind,
            max_pixels=max_pixels,
            read_mask=self.read_mask,
        )


def folder_source(
    images: str | os.PathLike,
    masks: str | os.PathLike,
    *,
    kind: str = MASK,
    mask_suffix: str = "",
    invert_masks: bool = False,
) -> Source:
    """Returns a source of the user's own images and masks, or class maps.

    Args:
        images, masks, mask_suffix: see `pair_by_name`.
        kind: kind of the masks, `kinds.MASK` or `kinds.CLASS_MAP`.
        invert_masks: for `kinds.MASK`, see `read_any_mask`.

    Raises:
        PicanetError: if `kind` is another one, or `invert_masks` is for class maps.
    """
    if kind not in (MASK, CLASS_MAP):
        raise PicanetError(
            f"`kind` must be {MASK} or {CLASS_MAP}. Received: kind={kind!r}"
        )
    if invert_masks and kind != MASK:
        raise PicanetError("`invert_masks` is for masks, not for class maps")
    find_pairs = functools.partial(pair_by_name, images, masks, mask_suffix=mask_suffix)
    read = functools.partial(read_any_mask, invert=invert_masks)
    return Source(
        kind,
        find_pairs,
        f"{images} and {masks}" if images != masks else str(images),
        read_mask=read if kind == MASK else None,
    )


def find_source(
    dataset: str,
    *,
    source: str | None = None,
    split: str | None = None,
    images: str | None = None,
    masks: str | None = None,
    sbd: str | None = None,
    mask_suffix: str | None = None,
    invert_masks: bool = False,
) -> Source:
    """Finds a data set by its name.

    Args:
        dataset: one of `DATASETS`, in any case and with `_` or `-`.
        source: folder of a known data set, or its parent.
        split: split of a known data set; by default its first.
        images, masks, mask_suffix: for `pairs` and `class-maps`, see `folder_source`.
        invert_masks: for `pairs`, see `folder_source`.
        sbd: for `voc2012`, the folder of SBD.

    Raises:
        PicanetError: if the data set or split is unknown, a folder is missing, an
            argument is not for this data set, or the files are not found.
    """
    name = dataset.lower().replace("_", "-")
    if name not in DATASETS:
        raise PicanetError(
            f"`dataset` must be one of {', '.join(DATASETS)}. Received: {dataset!r}"
        )
    given = {
        **{"source": source, "split": split, "images": images, "masks": masks},
        **{"sbd": sbd, "mask_suffix": mask_suffix, "invert_masks": invert_masks},
    }
    check = functools.partial(_check_given, dataset, given)
    if name in _FOLDERS:
        kind = _FOLDERS[name]
        takes = ("mask_suffix", *("invert_masks",) * (kind == MASK))
        check(needs=("images", "masks"), takes=takes)
        return folder_source(
            images,
            masks,
            kind=kind,
            mask_suffix=mask_suffix or "",
            invert_masks=invert_masks,
        )
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
    return Source(
        MASK,
        functools.partial(pair_by_name, *folders, recursive=False),
        " and ".join(map(str, folders)),
        known.title,
        known.count,
    )


def _check_given(
    dataset: str,
    given: dict[str, str | bool | None],
    *,
    needs: tuple[str, ...],
    takes: tuple[str, ...] = (),
) -> None:
    for name, value in given.items():
        if value == "" and name != "mask_suffix":
            raise PicanetError(f"`{name}`: an empty name, perhaps of an unset variable")
    for name in needs:
        if not given[name]:
            raise PicanetError(f"`dataset` {dataset} needs `{name}`")
    for name, value in given.items():
        if value and name not in (*needs, *takes):
            raise PicanetError(f"`dataset` {dataset} takes no `{name}`")
