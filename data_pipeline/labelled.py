"""Data sets with classes, from what the flags of `convert` say: pixels' or objects'.

Imports no TensorFlow.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from absl import flags

from data_pipeline import voc, voc_objects
from data_pipeline.errors import UserError
from data_pipeline.objects import encode_objects
from data_pipeline.pairs import encode_class_pair, pair_by_name


class Found(NamedTuple):
    """What is to be converted.

    Attributes:
        task: of the manifest.
        encode: reads a pair; a function of a module.
        find: gives the pairs, and the files that have no partner.
        origin: where from, for errors.
        name: of the data set.
        complete: its records when nothing is missing, if that is known.
    """

    task: str
    encode: Callable
    find: Callable
    origin: str
    name: str
    complete: int | None = None


def _voc_classes(values: flags.FlagValues) -> Found:
    check_given(values, wanted=("source",), unwanted=("images", "masks"))
    split = values.split or voc.SPLITS[0]
    return Found(
        "segmentation",
        encode_class_pair,
        functools.partial(voc.voc_pairs, values.source, split, values.sbd),
        values.source,
        f"VOC2012 {split}{' + SBD' * bool(values.sbd)}",
        None if values.sbd else voc.COUNTS.get(split),
    )


def _class_maps(values: flags.FlagValues) -> Found:
    unwanted = ("source", "split", "sbd")
    check_given(values, wanted=("images", "masks"), unwanted=unwanted)
    return Found(
        "segmentation",
        encode_class_pair,
        functools.partial(pair_by_name, values.images, values.masks),
        values.images,
        Path(values.output or ".").resolve().name,
    )


def _voc_objects(dataset: str, values: flags.FlagValues) -> Found:
    check_given(values, wanted=("source",), unwanted=("images", "masks", "sbd"))
    split = values.split or voc_objects.SPLITS[0]
    return Found(
        "detection",
        encode_objects,
        functools.partial(voc_objects.voc_pairs, dataset, values.source, split),
        values.source,
        f"{voc_objects.TITLES[dataset]} {split}",
        voc_objects.count(dataset, split),
    )


OBJECTS = tuple(voc_objects.TITLES)
SOURCES: dict[str, Callable[[flags.FlagValues], Found]] = {
    "voc2012": _voc_classes,
    "class-maps": _class_maps,
    **{name: functools.partial(_voc_objects, name) for name in OBJECTS},
}


def check_given(
    values: flags.FlagValues, *, wanted: tuple[str, ...], unwanted: tuple[str, ...]
) -> None:
    """Raises `UserError` if flags that `--dataset` needs are missing, or the others."""
    for flag in wanted:
        if not values[flag].value:
            raise UserError(f"--dataset {values.dataset} needs --{flag}")
    for flag in unwanted:
        if values[flag].value:
            raise UserError(f"--dataset {values.dataset} takes no --{flag}")
