"""Atomically published directories. Imports no TensorFlow."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import sync
from picanet_tf.core.signals import signals_ignored, sigterm_unwinds

# Suffixes of the hidden directories, and of a file that their process keeps locked. The
# lock tells whether it is alive; a process ID does not, since processes of different
# containers on one volume may have the same one.
_UNFINISHED, _REPLACED, _LOCK = ".tmp", ".old", ".lock"


class Staged:
    """A directory that is not published yet.

    Attributes:
        folder: hidden directory next to the final path, to be filled.
        published: final path; None until published.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.published: Path | None = None


@contextlib.contextmanager
def publishing(
    path: Path,
    *,
    argument: str = "output",
    overwrite: bool = False,
    next_path: Callable[[], Path] | None = None,
) -> Iterator[Staged]:
    """Yields a hidden directory that is renamed to `path` on success.

    Its files are synced to disk before the rename. After an error, Ctrl-C or SIGTERM
    everything is removed, including newly created parents. Leftovers of killed
    processes of this machine next to `path` are removed as well.

    Args:
        path: the directory; its parents are created.
        argument: argument name used in error messages.
        overwrite: replace `path` if it exists. The old directory is kept until the new
            one is complete.
        next_path: returns another path if `path` has been created in the meantime;
            without it, that is an error.

    Raises:
        PicanetError: if the directory cannot be created or `path` exists.
    """
    path = Path(path)
    if path.name in ("", ".."):  # No name to put the hidden directory beside.
        path = path.resolve()
    tag = f".{path.name}.{socket.gethostname()}.{secrets.token_hex(4)}"
    staged = Staged(path.with_name(tag + _UNFINISHED))
    made: list[Path] = []
    with sigterm_unwinds() as check_sigterm, contextlib.ExitStack() as locked:
        try:
            made += [parent for parent in path.parents if not parent.exists()]
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                _remove_leftovers(path.parent)
                locked.enter_context(_locking(path.with_name(tag + _LOCK)))
                staged.folder.mkdir()
            except OSError as error:
                reason = error.strerror
                if isinstance(error, FileExistsError) and path.parent.is_file():
                    reason = os.strerror(errno.ENOTDIR)
                raise PicanetError(
                    f"`{argument}` {path} cannot be made: {reason}"
                ) from error
            yield staged
            check_sigterm()
            for file in staged.folder.rglob("*"):
                if file.is_file():
                    sync(file)
            staged.published = _publish(
                staged.folder, path, argument, overwrite, next_path
            )
            sync(staged.published.parent)
        finally:
            with signals_ignored():
                _clear_away(staged.folder, path)
                locked.close()
                if staged.published is None:
                    for parent in made:
                        with contextlib.suppress(OSError):  # not empty
                            parent.rmdir()


def _publish(
    temporary: Path,
    path: Path,
    argument: str,
    overwrite: bool,
    next_path: Callable[[], Path] | None,
) -> Path:
    """Renames `temporary` to `path`; `_clear_away` must follow, even after an error."""
    if overwrite and os.path.lexists(path):
        path.rename(temporary.with_suffix(_REPLACED))
    while True:
        try:
            temporary.rename(path)
            return path
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            if next_path is None:
                raise PicanetError(
                    f"`{argument}` {path} exists already. Give another one"
                ) from error
        path = next_path()


def _clear_away(temporary: Path, path: Path) -> None:
    """Removes what is left of a publication, and restores what it had moved away."""
    replaced = temporary.with_suffix(_REPLACED)
    # Interrupted between the two renames.
    if os.path.lexists(replaced) and not os.path.lexists(path):
        replaced.rename(path)
    _remove(temporary)
    _remove(replaced)


@contextlib.contextmanager
def _locking(path: Path) -> Iterator[None]:
    """Creates a locked file, which is removed at the end."""
    unlocked = path.with_suffix("")  # Not found by `_remove_leftovers`.
    with open(unlocked, "xb") as file:
        # Where files cannot be locked, leftovers are kept.
        name = path if _lock(file) else unlocked
        try:
            unlocked.rename(name)
            yield
        finally:
            for left in (path, unlocked):
                left.unlink(missing_ok=True)


def _lock(file: IO) -> bool:
    """Locks an open file; returns False if that fails or another process did so."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_leftovers(parent: Path) -> None:
    """Removes leftovers of killed processes and restores what they had moved away."""
    host = f".{socket.gethostname()}."
    for lock in parent.glob(f".*{glob.escape(host)}{'[0-9a-f]' * 8}{_LOCK}"):
        with contextlib.suppress(OSError), open(lock, "r+b") as file:
            if not _lock(file):
                continue
            path = parent / lock.name[1:].rpartition(host)[0]
            _clear_away(lock.with_suffix(_UNFINISHED), path)
            lock.unlink()


def _remove(path: Path) -> None:
    """Removes a directory, file or link if it exists."""
    if os.path.islink(path) or os.path.isfile(path):
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
