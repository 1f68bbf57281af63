"""Finds image files in folders, and matches files by name.

A file's place is its path in its folder without the extension: `a/cat` for `a/cat.jpg`.
Unicode's composed and decomposed spellings of a name are equal. Imports no TensorFlow.
"""

import os
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from absl import logging

from picanet_tf.core import images
from picanet_tf.core.errors import PicanetError


def list_files(
    folder: str | os.PathLike,
    *,
    apart: str | os.PathLike | None = None,
    tell: Callable = logging.warning,
) -> list[Path]:
    """Lists the images of a folder and its sub-folders, in natural order.

    Linked sub-folders are searched, too. The number of other files is logged as a
    warning, that of hidden ones at level INFO.

    Args:
        folder: an existing folder.
        apart: a folder in it that is not searched.
        tell: logs the warning.
    """
    folder = Path(folder)
    outside = {os.path.realpath(apart)} - {os.path.realpath(folder)} if apart else ()
    found, others, hidden = [], [], []
    for path in _walk(folder, outside):
        if path.name.startswith("."):
            hidden.append(path)
        elif path.suffix.lower() in images.EXTENSIONS:
            found.append(path)
        else:
            others.append(path)
    tell_left_out(folder, others, "not images by their extension", tell)
    tell_left_out(folder, hidden, "hidden", logging.info)
    return sorted(found, key=lambda file: images.natural_key(path_in(file, folder)))


def tell_left_out(
    folder: Path, files: list[Path], why: str, tell: Callable = logging.warning
) -> None:
    """Logs the number of files that are left out, and the first of them.

    Args:
        folder: the folder that holds them.
        files: the files; nothing is logged if there are none.
        why: the reason, for the message.
        tell: logs the message.
    """
    if files:
        first, more = path_in(files[0], folder), ", ..." * (len(files) > 1)
        tell("%s: left out %d, %s: %s%s", folder, len(files), why, first, more)


def match_to_keys(
    files: Iterable[Path], folder: Path, keys: Iterable[str], suffix: str = ""
) -> tuple[dict[str, Path], list[Path]]:
    """Finds the file of each key, such as the saved map of each image.

    Args:
        files: files in `folder`. The file of the key `a/cat` is `a/cat.png`, or else
            `a/cat_mask.png`, or else `a/cat.jpg.png`.
        folder: their folder.
        keys: keys of the images, see `pairs.Pair`.
        suffix: a suffix that the files' names may have, such as "_mask".

    Returns:
        {key: file} without the keys that have no file, and the files without a key.

    Raises:
        PicanetError: if two files differ only in their extension.
    """
    keys = {spell(key): key for key in keys}
    found: dict[str, tuple[int, Path]] = {}
    rest: list[Path] = []
    for file in files:
        place = place_of(file, folder)
        stem, extension = os.path.splitext(place)
        names = [place, place.removesuffix(spell(suffix))]
        names += [stem] if extension.lower() in images.EXTENSIONS else []
        rank = next((rank for rank, name in enumerate(names) if name in keys), None)
        if rank is None:
            rest.append(file)
            continue
        key = keys[names[rank]]
        best, other = found.get(key, (rank + 1, file))
        if best == rank:
            raise PicanetError(
                f"{file} has the same name as {other.name}. Rename one of them"
            )
        found[key] = min((rank, file), (best, other))
        rest += [max((rank, file), (best, other))[1]] if other != file else []
    return {key: file for key, (_, file) in found.items()}, rest


def path_in(file: Path, folder: Path) -> str:
    """Returns a file's path relative to its folder, with forward slashes."""
    return file.relative_to(folder).as_posix()


def place_of(file: Path, folder: Path) -> str:
    """Returns a file's place, in Unicode's composed spelling."""
    return os.path.splitext(spell(path_in(file, folder)))[0]


def has_suffix(file: Path, suffix: str) -> bool:
    """Whether a file's name without its extension ends in `suffix`."""
    return spell(file.stem).endswith(spell(suffix))


def spell(name: str) -> str:
    """Returns a name in Unicode's composed spelling, NFC."""
    return unicodedata.normalize("NFC", name)


def _walk(folder: Path, outside: Collection[str]) -> Iterator[Path]:
    """Yields the files below a folder; for a hidden sub-folder, the folder itself."""
    outside = {*outside, os.path.realpath(folder)}  # Breaks cycles of links.
    for name in sorted(os.listdir(folder)):
        path = folder / name
        if not name.startswith(".") and os.path.isdir(path):
            if os.path.realpath(path) not in outside:
                yield from _walk(path, outside)
        elif name.startswith(".") or os.path.isfile(path) or os.path.islink(path):
            yield path  # Broken links fail when they are read.
