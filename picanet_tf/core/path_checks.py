"""Checks that folders are readable and writable before any work is done.

Imports no TensorFlow.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from picanet_tf.core.errors import PicanetError


def check_readable(words: Sequence[str]) -> Sequence[str]:
    """Returns `words` if the folders among them can be listed.

    An unreadable folder would otherwise look empty. Unreadable sub-folders, such as a
    disk's `lost+found`, are skipped with a warning.

    Args:
        words: files, folders or patterns.

    Raises:
        PicanetError: if one of the folders cannot be listed.
    """
    for word in filter(os.path.isdir, words):
        _list(word)
    return words


def _list(top: str) -> None:
    def refused(error: OSError) -> None:
        if error.filename == top:
            raise PicanetError(f"`input`: cannot read {top}: {error.strerror}")
        logging.warning("Skipped %s: %s", error.filename, error.strerror)

    for _, folders, _ in os.walk(top, onerror=refused):
        folders[:] = [name for name in folders if not name.startswith(".")]


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
    """Returns `path` unless it exists and is not a folder."""
    if Path(path).exists() and not Path(path).is_dir():
        raise PicanetError(f"`output`: {path} is a file, not a folder")
    return Path(path)
