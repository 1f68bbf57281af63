"""Whether the folders that flags name can be read and written, asked before the work.

Imports no TensorFlow.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from picanet_tf.errors import PicanetError


def check_readable(words: Sequence[str], *, flag: str = "--input") -> Sequence[str]:
    """`words`, if the files of the folders among them can be listed.

    A folder that cannot be listed seems empty. One inside of it is passed over with a
    warning: a disk's `lost+found` may not keep its photos from being taken.

    Args:
        words: files, folders or patterns.
        flag: what errors call the argument.

    Raises:
        PicanetError: one of the folders itself.
    """
    for word in filter(os.path.isdir, words):
        _list(word, flag)
    return words


def _list(top: str, flag: str) -> None:
    def refused(error: OSError) -> None:
        if error.filename == top:
            raise PicanetError(f"{flag}: cannot read {top}: {error.strerror}")
        logging.warning("%s: passed over %s: %s", flag, error.filename, error.strerror)

    for _, folders, _ in os.walk(top, onerror=refused):
        folders[:] = [name for name in folders if not name.startswith(".")]


def check_writable(path: str | os.PathLike, *, flag: str = "--output") -> Path:
    """`path`, if files can be made in it, or in the folder that it would be made in.

    Leaves nothing behind.

    Args:
        path: of a folder, which need not exist.
        flag: what errors call the argument.

    Raises:
        PicanetError: with the system's reason.
    """
    path = there = Path(path)
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        reason = error.strerror
        raise PicanetError(f"{flag}: cannot write to {path}: {reason}") from error
    return path
