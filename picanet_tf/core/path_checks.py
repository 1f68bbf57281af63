"""Whether folders can be read and written, asked before the work begins.

Imports no TensorFlow.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from picanet_tf.core.errors import PicanetError


def check_readable(words: Sequence[str], *, argument: str = "input") -> Sequence[str]:
    """`words`, if the files of the folders among them can be listed.

    A folder that cannot be listed seems empty. One inside of it is passed over with a
    warning: a disk's `lost+found` may not keep its photos from being taken.

    Args:
        words: files, folders or patterns.
        argument: what errors call it.

    Raises:
        PicanetError: one of the folders itself.
    """
    for word in filter(os.path.isdir, words):
        _list(word, argument)
    return words


def _list(top: str, argument: str) -> None:
    def refused(error: OSError) -> None:
        if error.filename == top:
            raise PicanetError(f"`{argument}`: cannot read {top}: {error.strerror}")
        logging.warning("Passed over %s: %s", error.filename, error.strerror)

    for _, folders, _ in os.walk(top, onerror=refused):
        folders[:] = [name for name in folders if not name.startswith(".")]


def check_writable(path: str | os.PathLike, *, argument: str = "output") -> Path:
    """`path`, if files can be made in it, or in the folder that it would be made in.

    Leaves nothing behind.

    Args:
        path: of a folder, which need not exist.
        argument: what errors call it.

    Raises:
        PicanetError: with the system's reason.
    """
    path = there = Path(path)
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise PicanetError(
            f"`{argument}`: cannot write to {path}: {error.strerror}"
        ) from error
    return path


def check_folder(path: str | os.PathLike, *, argument: str = "output") -> Path:
    """`path`, if it is a folder or could become one."""
    if Path(path).exists() and not Path(path).is_dir():
        raise PicanetError(f"`{argument}`: {path} is a file, a folder is wanted")
    return Path(path)
