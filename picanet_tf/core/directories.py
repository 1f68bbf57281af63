"""Atomically published directories. Imports no TensorFlow."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import sync
from picanet_tf.core.signals import sigterm_ignored, sigterm_unwinds

_UNFINISHED, _REPLACED = "tmp", "old"  # suffixes of the hidden directories


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
    tag = f"{socket.gethostname()}.{os.getpid()}"
    staged = Staged(path.with_name(f".{path.name}.{tag}.{_UNFINISHED}"))
    made: list[Path] = []
    with sigterm_unwinds() as check_sigterm:
        try:
            made += [parent for parent in path.parents if not parent.exists()]
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                _remove_leftovers(path.parent)
                staged.folder.mkdir()
            except OSError as error:
                reason = error.strerror
                if isinstance(error, FileExistsError):  # A parent is a file.
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
            with sigterm_ignored():
                shutil.rmtree(staged.folder, ignore_errors=True)
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
    replaced = temporary.with_suffix(f".{_REPLACED}")
    if overwrite and os.path.lexists(path):
        path.rename(replaced)
    try:
        while True:
            try:
                temporary.rename(path)
                break
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
                if next_path is None:
                    raise PicanetError(f"`{argument}` {path} exists already") from error
            path = next_path()
    except BaseException:
        if os.path.lexists(replaced):
            replaced.rename(path)
        raise
    if replaced.is_symlink():
        replaced.unlink()
    shutil.rmtree(replaced, ignore_errors=True)
    return path


def _remove_leftovers(parent: Path) -> None:
    """Removes leftovers of killed processes and restores what they had moved away."""
    host = f".{socket.gethostname()}."
    for path in parent.glob(f".*{host}*"):
        name, _, rest = path.name[1:].rpartition(host)
        process, _, kind = rest.partition(".")
        known = kind in (_UNFINISHED, _REPLACED) and process.isdecimal()
        if not (known and name) or _runs(int(process)):
            continue
        if kind == _REPLACED and not os.path.lexists(parent / name):
            path.rename(parent / name)  # Killed between the two renames.
        else:
            shutil.rmtree(path, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
