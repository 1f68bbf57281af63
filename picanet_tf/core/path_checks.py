"""Checks of folders before any work is done.

Imports no TensorFlow.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from picanet_tf.core.errors import PicanetError

_MAX_NAMED = 3  # in a message


def check_writable(path: str | os.PathLike) -> Path:
    """Returns `path` if files can be created in it, or in its nearest existing parent.

    Leaves no files behind.

    Args:
        path: a folder, which need not exist.

    Raises:
        PicanetError: if it is not writable, with the system's reason.
    """
    path = there = Path(path)
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise PicanetError(
            f"`output`: cannot write to {path}: {error.strerror}"
        ) from error
    return path


def check_folder(path: str | os.PathLike) -> Path:
    """Returns `path` as a `Path`.

    Raises:
        PicanetError: if it exists and is not a folder.
    """
    if Path(path).exists() and not Path(path).is_dir():
        raise PicanetError(f"`output`: {path} is a file, not a folder")
    return Path(path)


def existing_folder(path: str | os.PathLike, argument: str = "") -> Path:
    """Returns `path` if it is a folder.

    Args:
        path: a folder.
        argument: argument name used in the message.

    Raises:
        PicanetError: if it does not exist or is not a folder.
    """
    path = Path(path)
    if not path.is_dir():
        what = "not a folder" if os.path.lexists(path) else "no such folder"
        raise PicanetError((f"`{argument}` " if argument else "") + f"{path}: {what}")
    return path


def check_not_current(
    path: str | os.PathLike, *, example: str, argument: str = "output"
) -> None:
    """Checks that an output folder is neither the current folder nor contains it.

    Args:
        path: the output folder.
        example: the name of another folder, as a suggestion in the message.
        argument: argument name used in the message.

    Raises:
        PicanetError: if it is, or does.
    """
    current, real = os.path.realpath("."), os.path.realpath(path)
    if os.path.commonpath([current, real]) == real:
        raise PicanetError(
            f"`{argument}` {path} is the current folder, or holds it: give the name of "
            f"another one, such as {example}"
        )


def name_others(folder: Path, files: Iterable[str]) -> str:
    """Names up to three entries of a folder that are neither known files nor folders.

    Args:
        folder: an existing folder.
        files: the known files, relative to it; the folders on their paths are known
            too, and are the only ones that are searched.

    Returns:
        "a, b, c, ...", relative to the folder; "" if there is nothing else.
    """
    known = {Path(file) for file in files}
    folders = {parent for file in known for parent in file.parents}
    others = sorted(
        path.relative_to(folder).as_posix()
        for name in folders
        if (folder / name).is_dir()
        for path in (folder / name).iterdir()
        if path.relative_to(folder) not in (folders if path.is_dir() else known)
    )
    return ", ".join(others[:_MAX_NAMED]) + ", ..." * (len(others) > _MAX_NAMED)
