"""Numbered versions of an export, each published by one renaming.

export/picanet/1/      TF Serving loads the highest number and looks again and again
export/picanet/2/      what is hidden or no number it passes over
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from picanet_tf.errors import PicanetError


def versions(base: Path) -> list[int]:
    """The numbers of the versions in a folder, rising."""
    if not base.is_dir():
        return []
    return sorted(int(p.name) for p in base.iterdir() if p.name.isdecimal())


def check_version(base: Path, version: int | None, overwrite: bool) -> int:
    """The version to write, the next one by default; before any work is done.

    Raises:
        PicanetError: it exists and may not be overwritten, or `base` is a file.
    """
    if base.exists() and not base.is_dir():
        raise PicanetError(f"--output: {base} is a file, not a folder")
    if version is None:
        return max(versions(base), default=0) + 1
    if (base / str(version)).exists() and not overwrite:
        raise PicanetError(
            f"--version: {base / str(version)} exists already. Give --overwrite to "
            "replace it, or leave --version out for the next one"
        )
    return version


class Staged:
    """A version in the making.

    Attributes:
        folder: hidden, to be filled.
        published: where it is in the end; None until then.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.published: Path | None = None


@contextlib.contextmanager
def publishing(base: Path, version: int | None, overwrite: bool) -> Iterator[Staged]:
    """Yields a hidden folder that becomes the version when all went well.

    Else, also after Ctrl-C or SIGTERM, nothing is left, not even a `base` that was not
    there before. What a killed export of this machine left is removed.

    Raises:
        PicanetError: as `check_version`.
    """
    number = check_version(base, version, overwrite)
    made = [p for p in (base, *base.parents) if not p.exists()]
    base.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(base)
    staged = Staged(base / f".{number}.{socket.gethostname()}.{os.getpid()}.tmp")
    try:
        with _sigterm_as_exit():
            staged.folder.mkdir()
            yield staged
            _sync(staged.folder)
            staged.published = _publish(staged.folder, base, version, overwrite)
    finally:
        shutil.rmtree(staged.folder, ignore_errors=True)
        if staged.published is None:
            for folder in made:
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _publish(temporary: Path, base: Path, version: int | None, overwrite: bool):
    target = base / temporary.name.split(".")[1]
    old = temporary.with_suffix(".old")
    if overwrite and target.exists():
        target.rename(old)
    try:
        while True:
            try:
                temporary.rename(target)
                break
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            # Another export was quicker.
            target = base / str(check_version(base, version, overwrite=False))
    except BaseException:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
    return target


def _remove_leftovers(base: Path) -> None:
    for path in base.glob(f".*.{socket.gethostname()}.*"):
        _, number, *_, process, kind = path.name.split(".")
        if not process.isdecimal() or _runs(int(process)):
            continue
        if kind == "old" and not (base / number).exists():
            path.rename(base / number)  # Killed between two renamings.
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


def _sync(folder: Path) -> None:
    """Waits until all is on the disk, so that a renamed version is a whole one."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())


@contextlib.contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """SIGTERM unwinds the stack, as Ctrl-C does; the exit code is the shell's."""

    def leave(number, _frame):
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield  # Signals are not ours to handle.
        return
    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
