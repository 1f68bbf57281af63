"""Resolves command-line words to input files."""

import fnmatch
import functools
import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import logging

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import EXTENSIONS, natural_key
from picanet_tf.core.passed_over import Reason, describe

VIDEO_EXTENSIONS = frozenset(".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg".split())


class Input(NamedTuple):
    """An input file.

    Attributes:
        path: path of the file.
        place: path relative to the folder or pattern root it was found in, or the file
            name if it was named explicitly; results keep this relative path.
        scanned: whether it was found in a folder or by a pattern.
    """

    path: Path
    place: Path
    scanned: bool = False

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEO_EXTENSIONS


class Found(NamedTuple):
    """The files of folders and patterns.

    Attributes:
        inputs: the files to read.
        passed_over: the other files, with the reason.
    """

    inputs: list[Input]
    passed_over: dict[Path, Reason]


def scan_inputs(words: Sequence[str], output: str | os.PathLike | None = None) -> Found:
    """Resolves command-line words to input files.

    Linked folders are searched, each real folder once. Hidden files and folders, and
    files in sub-folders that cannot be listed, are passed over; the latter with a
    warning.

    Args:
        words: each a file with any extension; a folder, searched recursively for
            images; or a pattern with `*`, `?`, `[...]` or `**`, which matches images
            and videos.
        output: folder for results; if it is inside a folder or pattern root, its files
            are passed over.

    Returns:
        The files without duplicates, in the order of the words; files of a folder or
        pattern in natural order. Also those that were passed over.

    Raises:
        PicanetError: if a file does not exist, a folder cannot be listed, a folder or
            pattern yields no files, or `..` follows a wildcard, which makes relative
            output paths ambiguous.
    """
    inputs: dict[tuple[str, str], Input] = {}
    passed_over: dict[tuple[str, str], tuple[Path, Reason]] = {}
    for word in words:
        found = _find(word, output)
        for item in found.inputs:
            inputs.setdefault(_identity(item.path), item)
        for path, reason in found.passed_over.items():
            passed_over.setdefault(_identity(path), (path, reason))
    left = (passed_over[key] for key in passed_over if key not in inputs)
    return Found(list(inputs.values()), dict(left))


def scan_folder(
    folder: str | os.PathLike,
    output: str | os.PathLike | None = None,
    *,
    known: set[Path] | None = None,
) -> Found:
    """Finds the images of one folder, which may be empty, as `scan_inputs` does.

    Args:
        folder: the folder, searched recursively.
        output: see `scan_inputs`.
        known: sub-folders whose warning that they are skipped was already given; new
            ones are added.

    Raises:
        PicanetError: if the folder cannot be listed.
    """
    root = Path(folder)
    paths = (
        path / name
        for path, names in _walk(root, hidden=True, known=known)
        for name in names
        if not name.startswith(".") or _is_known(name)
    )
    return _sort_out(root, paths, output, videos=False)


def _identity(path: Path) -> tuple[str, str]:
    return os.path.realpath(path.parent), path.name


def _is_known(name: str) -> bool:
    return Path(name).suffix.lower() in EXTENSIONS | VIDEO_EXTENSIONS


def _find(word: str, output: str | os.PathLike | None) -> Found:
    if not word:  # An unset shell variable; Path("") is the current folder.
        raise PicanetError("`input`: an empty name, perhaps of an unset variable")
    path = Path(word)
    if os.path.isdir(path):  # `Path.is_dir` raises if the name is too long.
        found = scan_folder(path, output)
        if not found.inputs:
            raise PicanetError(f"`input`: no images in {word}{_others(found)}")
        return found
    # Try it as a file name first: a file may be called photo[1].jpg.
    if os.path.exists(path):
        return Found([Input(path, Path(path.name))], {})
    if not glob.has_magic(word):
        raise PicanetError(f"`input`: there is no {word}")
    root = _fixed_part(path)
    pattern = path.parts[len(root.parts) :]
    if ".." in pattern:
        raise PicanetError(f"`input`: .. may not follow a wildcard. Received: {word}")
    matches = dict.fromkeys(_matches(root, pattern))
    files = (match for match in matches if not os.path.isdir(match))
    found = _sort_out(root, files, output, videos=True)
    if not found.inputs:
        raise PicanetError(f"`input`: no images match {word}{_others(found)}")
    return found


def _others(found: Found) -> str:
    return f". {text}" if (text := describe(found.passed_over)) else ""


def _sort_out(
    root: Path,
    paths: Iterable[Path],
    output: str | os.PathLike | None,
    *,
    videos: bool,
) -> Found:
    """Sorts the files found below `root` into inputs and others.

    Args:
        root: folder or pattern root.
        paths: the files, in any order.
        output: folder for results.
        videos: whether videos are inputs.
    """
    target = None if output is None else os.path.realpath(output)
    if target is not None and _is_within(os.path.realpath(root), target):
        target = None  # `root` itself is read.

    @functools.cache
    def is_output(folder: Path) -> bool:
        return target is not None and _is_within(os.path.realpath(folder), target)

    def reason(path: Path) -> Reason | None:
        extension = path.suffix.lower()
        if is_output(path.parent):
            return Reason.OUTPUT
        if extension not in EXTENSIONS | VIDEO_EXTENSIONS:
            return Reason.UNKNOWN
        if path.name.startswith("."):
            return Reason.HIDDEN
        if extension in VIDEO_EXTENSIONS and not videos:
            return Reason.VIDEO
        # Broken links are inputs, so that reading them names them. Not methods of
        # `Path`, which raise if the link leads to a locked folder.
        broken = not os.path.exists(path)
        return None if broken or os.path.isfile(path) else Reason.SPECIAL

    found = Found([], {})
    relative = {path: path.relative_to(root) for path in paths}
    for path in sorted(relative, key=lambda path: natural_key(str(relative[path]))):
        if why := reason(path):
            found.passed_over[path] = why
        else:
            found.inputs.append(Input(path, relative[path], True))
    return found


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _fixed_part(pattern: Path) -> Path:
    """Returns the folder before the first component with a wildcard."""
    fixed = []
    for part in pattern.parent.parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)


def _matches(root: Path, pattern: Sequence[str], named: bool = True) -> Iterator[Path]:
    """Like `glob.iglob`, but visits each folder once, even with symlink loops.

    For `named` see `_walk`.
    """
    if not pattern:
        yield root
        return
    part, *rest = pattern
    if part == "**":
        for folder, files in _walk(root, named=named):
            if rest:
                yield from _matches(folder, rest, False)
            else:
                yield from (folder / name for name in files)
    elif glob.has_magic(part):
        try:
            names = os.listdir(root) if os.path.isdir(root) else []
        except OSError as error:
            _skip(root, error, named)
            return
        for name in sorted(fnmatch.filter(names, part)):
            if part.startswith(".") or not name.startswith("."):
                yield from _matches(root / name, rest, False)
    elif os.path.lexists(root / part):
        yield from _matches(root / part, rest, False)


def _walk(
    root: Path,
    hidden: bool = False,
    named: bool = True,
    known: set[Path] | None = None,
) -> Iterator[tuple[Path, list[str]]]:
    """Yields folders and the names of their files; symlinked folders come last.

    Each real folder is visited once, even with symlink loops. Hidden folders are not
    visited, and hidden files are listed only if `hidden`.

    Raises:
        PicanetError: if `root` cannot be listed, and the user has `named` it; other
            folders are then skipped with a warning.
    """
    waiting, seen = [root], set()
    while waiting:
        folder = waiting.pop(0)
        real = os.path.realpath(folder)
        if real in seen or not os.path.isdir(folder):
            continue
        seen.add(real)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            _skip(folder, error, named and folder == root, known)
            continue
        shown = [entry for entry in entries if not entry.name.startswith(".")]
        inner = [entry for entry in shown if _is_folder(entry)]
        waiting[:0] = [folder / e.name for e in inner if not e.is_symlink()]
        waiting += [folder / e.name for e in inner if e.is_symlink()]
        files = (e for e in (entries if hidden else shown) if not _is_folder(e))
        yield folder, [entry.name for entry in files]


def _skip(
    folder: Path, error: OSError, named: bool, known: set[Path] | None = None
) -> None:
    if named:
        raise PicanetError(
            f"`input`: cannot read {folder}: {error.strerror}"
        ) from error
    if known is None or folder not in known:
        logging.warning("Skipped %s: %s", folder, error.strerror)
    if known is not None:
        known.add(folder)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link to itself.
        return False
