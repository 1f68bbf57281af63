"""Creates data sets and methods from files and networks.

File readers are passed as arguments. Does not import TensorFlow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from picanet_tf.core.errors import PicanetError
from picanet_tf.evaluation.samples import (
    DataSet,
    Method,
    Predicted,
    Sample,
    predict_samples,
)

Read = Callable[[Path], np.ndarray]


def read_files(
    files: Mapping[str, tuple[Path | None, Path]], read_image: Read, read_truth: Read
) -> Iterator[Sample]:
    """Yields samples read from files.

    Args:
        files: {name: (image path or None, ground truth path)}.

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


def split_commas(values: Iterable[str]) -> list[str]:
    """Splits the values of a repeated flag: `["a,b", "c"]` -> `["a", "b", "c"]`."""
    return [part for value in values for part in value.split(",") if part]


def by_name(paths: Iterable[Path]) -> dict[str, Path]:
    """Returns {name without extension: path}; raises `PicanetError` on duplicates."""
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise PicanetError(f"{path} has the same name as {found[path.stem].name}")
        found[path.stem] = path
    return found


def maps_on_disk(
    flag: str,
    list_images: Callable[[Path], Sequence[Path]],
    read_map: Read,
    *,
    same_size: bool = False,
) -> Method:
    """Returns a method with maps in a folder that are named like the masks.

    Args:
        flag: `NAME=DIR`, or `DIR`, whose last part is then the method's name. The maps
            are in DIR, or in a subfolder named after the data set.
        list_images: function that lists the image files of a folder.
        read_map: function that reads a map.
        same_size: whether maps must have the size of their mask.
    """
    name, folder = split_named_path(flag)

    def files(data: DataSet) -> dict[str, Path]:
        return by_name(list_images(_folder_for(data, Path(folder))))

    def check(data: DataSet) -> None:
        found = files(data)
        missing = [key for key in data.keys() if key not in found]
        if missing:
            raise PicanetError(
                f"`predictions` {_folder_for(data, Path(folder))}: {len(missing):,} of "
                f"{data.count:,} maps for {data.name} are missing, the first is "
                f"{missing[0]}"
            )

    def predict(data: DataSet) -> Iterator[Predicted]:
        found = files(data)
        for sample in data.samples():
            file = found[sample.name]
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
    """Splits `NAME=PATH`; for `PATH` alone, its last part is the name."""
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
    """Adds the run or file to the names of methods with equal names.

    Raises:
        PicanetError: if two names are still equal.
    """
    counts = Counter(method.name for method in methods)
    named = [
        method._replace(name=f"{method.name} ({Path(method.facts['model']).name})")
        if counts[method.name] > 1 and "model" in method.facts
        else method
        for method in methods
    ]
    check_unique([method.name for method in named], "methods")
    return named


def check_unique(names: Sequence[str], what: str) -> None:
    """Raises `PicanetError` for duplicate names, because reports are keyed by name."""
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise PicanetError(f"Two {what} are named {name}; names must be unique")


def spread_evenly(count: int, wanted: int) -> set[int]:
    """Returns `wanted` numbers spread evenly over 0..count - 1."""
    return {int(number) for number in np.linspace(0, count - 1, min(wanted, count))}


def _folder_for(data: DataSet, folder: Path) -> Path:
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in inside:
        if path.is_dir() and path.name.lower() == data.name.lower():
            return path
    return folder
