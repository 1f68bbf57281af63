"""Data sets and methods, whatever they come from.

Opens no file itself: readers are handed in. Imports no TensorFlow.
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
    """Samples of files.

    Args:
        files: {name: (image or None, ground truth)}.

    Raises:
        PicanetError: an image and its ground truth differ in size.
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
    """`["a,b", "c"]` -> `["a", "b", "c"]`, of a flag that is repeated or a list."""
    return [part for value in values for part in value.split(",") if part]


def by_name(paths: Iterable[Path]) -> dict[str, Path]:
    """{name without extension: path}; raises `PicanetError` where two share one."""
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
    """Maps that some method left in a folder, named as the masks.

    Args:
        flag: `NAME=DIR`, or `DIR` alone, whose own name is then the method's. The maps
            are in DIR, or in a folder of it that is called as the data set.
        list_images: the image files of a folder.
        same_size: whether a map of another size than its mask is an error.
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
    """`NAME=PATH`, or `PATH` alone, whose own name is then the method's."""
    name, separator, path = flag.partition("=")
    if not separator or Path(flag).exists():
        name, path = Path(flag).resolve().name, flag
    if not (name and path):
        raise PicanetError(f"`predictions` must be NAME=DIR. Received: {flag!r}")
    return name, path


def network(
    name: str, load: Callable[[], Callable], facts: Mapping, variant: str | None
) -> Method:
    """A network.

    Args:
        load: loads it: a function from images to maps, both in order. Called by `check`
            too, so that a wrong one is told before any other is scored.
    """

    def check(data: DataSet) -> None:
        if next(iter(data.samples())).image is None:
            raise PicanetError(
                f"{name} needs images, {data.name} has masks only: give `images`"
            )
        load()

    def predict(data: DataSet) -> Iterator[Predicted]:
        return predict_samples(load(), data.samples())

    return Method(name, predict, facts, variant, check)


def name_uniquely(methods: Sequence[Method]) -> list[Method]:
    """Names methods of equal names after their runs or files as well.

    Raises:
        PicanetError: two are still alike.
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
    """Raises `PicanetError` if a name comes twice: reports go by name."""
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise PicanetError(f"Two {what} are called {name}; each needs its own name")


def spread_evenly(count: int, wanted: int) -> set[int]:
    """`wanted` numbers, evenly spread over 0..count - 1."""
    return {int(number) for number in np.linspace(0, count - 1, min(wanted, count))}


def _folder_for(data: DataSet, folder: Path) -> Path:
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in inside:
        if path.is_dir() and path.name.lower() == data.name.lower():
            return path
    return folder
