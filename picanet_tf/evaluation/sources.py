"""Creates data sets and methods from files and networks. Does not import TensorFlow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from data_pipeline.listing import list_files, match_to_keys
from data_pipeline.pairs import key_masks, list_bad, pair_by_name
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import read_image
from picanet_tf.core.masks import MaskNote, read_any_mask, report_masks
from picanet_tf.core.path_checks import existing_folder
from picanet_tf.evaluation.samples import (
    DataSet,
    Method,
    Predicted,
    Sample,
    predict_samples,
)
from picanet_tf.evaluation.tables import folder_name

Read = Callable[[Path], np.ndarray]


def read_files(
    files: Mapping[str, tuple[Path | None, Path]], read_image: Read, read_truth: Read
) -> Iterator[Sample]:
    """Yields samples read from files.

    Args:
        files: {name: (image path or None, ground truth path)}.
        read_image: function that reads an image, uint8 [H, W, 3].
        read_truth: function that reads a ground truth file, [H, W].

    Raises:
        PicanetError: if an image and its ground truth differ in size.
    """
    for name, (image_file, truth_file) in files.items():
        image = None if image_file is None else read_image(image_file)
        truth = read_truth(truth_file)
        if image is not None and image.shape[:2] != truth.shape:
            raise PicanetError(
                f"{truth_file}: {truth.shape[1]} x {truth.shape[0]}, but its image "
                f"{image_file} is {image.shape[1]} x {image.shape[0]} (width x height)"
            )
        yield Sample(name, truth, image)


def folder_data_set(
    name: str,
    images: str | None,
    masks: str,
    *,
    mask_suffix: str = "",
    invert: bool = False,
) -> DataSet:
    """Returns a folder of masks as a data set, with images if there are any.

    Its samples are read as `convert --dataset pairs` reads them. Once all are read, how
    the masks were read is logged, and an error is raised if none has foreground.

    Args:
        name: name of the data set.
        images: folder of the images, or None.
        masks: folder of the masks.
        mask_suffix: see `pair_by_name`.
        invert: see `read_any_mask`.

    Raises:
        PicanetError: if a folder does not exist, there are no masks, or files cannot be
            paired.
    """
    if images is None:
        folder = existing_folder(masks, "masks")
        found = key_masks(list_files(folder), folder, mask_suffix)
        files = {key: (None, path) for key, path in found.items()}
    else:
        pairs, bad = pair_by_name(images, masks, mask_suffix=mask_suffix)
        if bad:
            raise PicanetError(list_bad(bad, "all must be paired"))
        files = {pair.key: (pair.image, pair.truth) for pair in pairs}
    if not files:
        named = (
            f" whose names end in `mask_suffix` {mask_suffix}" if mask_suffix else ""
        )
        raise PicanetError(f"`masks`: no images in {masks}{named}")
    reported = False

    def samples() -> Iterator[Sample]:
        nonlocal reported
        notes: list[MaskNote] = []

        def read_truth(path: Path) -> np.ndarray:
            mask, note = read_any_mask(path, invert=invert)
            notes.append(note)
            return mask

        yield from read_files(files, read_image, read_truth)
        if not reported:
            report_masks(notes, masks, logging.info)
        reported = True

    facts = {"masks": masks} | ({"inverted": True} if invert else {})
    return DataSet(name, len(files), files.keys, samples, facts, mask_suffix)


def split_commas(values: Iterable[str]) -> list[str]:
    """Splits the values of a repeated flag: `["a,b", "c"]` -> `["a", "b", "c"]`."""
    return [part for value in values for part in value.split(",") if part]


def maps_on_disk(
    flag: str,
    list_images: Callable[[Path], Sequence[Path]],
    read_map: Read,
    *,
    same_size: bool = False,
) -> Method:
    """Returns a method with maps in a folder that are named like the images or masks.

    Args:
        flag: `NAME=DIR`, or `DIR`, whose last part is then the method's name. The maps
            are in DIR, or in a subfolder named after the data set.
        list_images: function that lists the image files of a folder.
        read_map: function that reads a map.
        same_size: whether maps must have the size of their mask.
    """
    name, folder = split_named_path(flag)
    found: dict[str, dict[str, Path]] = {}

    def check(data: DataSet) -> None:
        inside = _folder_for(data, existing_folder(folder, "predictions"))
        keys, files = list(data.keys()), list_images(inside)
        found[data.name], rest = match_to_keys(files, inside, keys, data.file_suffix)
        missing = [key for key in keys if key not in found[data.name]]
        if missing:
            examples = ", ".join(file.name for file in files[:2]) or "no images"
            raise PicanetError(
                f"`predictions` {inside}: {len(missing):,} of {data.count:,} maps for "
                f"{data.name} are missing, the first is {missing[0]}. Found: {examples}"
            )
        if rest:
            logging.warning("%s: left out %d maps that %s does not have, such as %s",
                            inside, len(rest), data.name, rest[0].name)  # fmt: skip

    def predict(data: DataSet) -> Iterator[Predicted]:
        if data.name not in found:
            check(data)
        for sample in data.samples():
            file = found[data.name][sample.name]
            predicted = read_map(file)
            (height, width), (rows, columns) = predicted.shape, sample.truth.shape
            if same_size and (height, width) != (rows, columns):
                raise PicanetError(
                    f"{file}: {width} x {height}, but its mask is {columns} x {rows} "
                    "(width x height)"
                )
            yield sample, predicted

    return Method(name, predict, {"maps": folder}, check=check)


def split_named_path(flag: str) -> tuple[str, str]:
    """Splits `NAME=PATH`; for `PATH` alone, its last part is the name.

    Raises:
        PicanetError: if the name or path is empty.
    """
    name, separator, path = flag.partition("=")
    if not separator or Path(flag).exists():
        name, path = Path(flag).resolve().name, flag
    if not (name and path):
        raise PicanetError(f"`predictions` must be NAME=DIR. Received: {flag!r}")
    return name, path


def network(
    name: str, load: Callable[[], Callable], facts: Mapping, variant: str | None
) -> Method:
    """Returns a network as a method.

    Args:
        name: name of the method.
        load: loads the network and returns a function from images to predictions. Also
            called by `check`, so that an invalid network is reported before scoring.
        facts: metadata for the report.
        variant: row in the paper's table, or None.
    """

    def check(data: DataSet) -> None:
        if next(iter(data.samples())).image is None:
            raise PicanetError(
                f"{name} needs images, but {data.name} has only masks: give `images`"
            )
        load()

    def predict(data: DataSet) -> Iterator[Predicted]:
        return predict_samples(load(), data.samples())

    return Method(name, predict, facts, variant, check)


def name_uniquely(methods: Sequence[Method]) -> list[Method]:
    """Adds the path of the model to the names of methods with equal names.

    Raises:
        PicanetError: if two names are still equal.
    """
    counts = Counter(method.name for method in methods)
    named = [
        method._replace(name=f"{method.name} ({method.facts['model']})")
        if counts[method.name] > 1 and "model" in method.facts
        else method
        for method in methods
    ]
    check_unique([method.name for method in named], "methods")
    return named


def check_unique(names: Sequence[str], what: str) -> None:
    """Raises `PicanetError` if a report cannot keep two names apart.

    Its JSON is keyed by them, and each has a folder for its files.
    """
    folders: dict[str, str] = {}
    for name in names:
        folder = folder_name(name)
        if folder in folders:
            other = folders[folder]
            both = name if other == name else f"{other} and {name} (folder {folder})"
            raise PicanetError(f"Two {what} are named {both}; names must be unique")
        folders[folder] = name


def spread_evenly(count: int, wanted: int) -> set[int]:
    """Returns `wanted` numbers spread evenly over 0..count - 1."""
    return {int(number) for number in np.linspace(0, count - 1, min(wanted, count))}


def _folder_for(data: DataSet, folder: Path) -> Path:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name.lower() == data.name.lower():
            return path
    return folder
