"""Atomic file writes and checksums. Imports no TensorFlow."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from picanet_tf.core.errors import PicanetError

FULL = (errno.ENOSPC, errno.EDQUOT)
# Errors of `sync` for directories that are no failure to write.
_UNSYNCABLE = (errno.EACCES, errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


class DiskFullError(PicanetError):
    """A file cannot be written because the disk or the quota is full."""


@contextlib.contextmanager
def replacing(path: Path):
    """Yields a temporary path next to `path`, which is renamed to `path` on success.

    The temporary name keeps the suffix, from which many writers infer the format. After
    a power failure either the old or the new file exists.

    Raises:
        PicanetError: if the file cannot be written; the old file is kept.
    """
    path = Path(path)
    writer = f"{os.getpid()}-{secrets.token_hex(4)}"  # PIDs recur in containers.
    temporary = path.with_name(f".{_short(path.stem)}.{writer}.tmp{path.suffix}")
    try:
        yield temporary
        move_into_place(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # It was moved, or never there.
            temporary.unlink()


def move_into_place(source: Path, target: Path) -> None:
    """Durably renames a file to `target`, replacing it.

    Args:
        source, target: paths on the same file system.

    Raises:
        OSError: if the file cannot be renamed.
    """
    sync(source)
    os.replace(source, target)
    sync(Path(target).parent)


def _short(stem: str) -> str:
    """Truncates a stem to 100 bytes, to leave room for the temporary suffix.

    Drops an incomplete last character, which some file systems would reject.
    """
    return os.fsencode(stem)[:100].decode(errors="ignore")


@contextlib.contextmanager
def errors_of_writing(path: Path, remedy: str = "") -> Iterator[None]:
    """Converts an `OSError` that names a file, or is due to a full disk.

    Args:
        path: the file or folder that is written, for the message.
        remedy: advice that ends the message.

    Raises:
        PicanetError: instead of the `OSError`.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno not in FULL:
            raise
        raise cannot_write(path, error, remedy) from error


def cannot_write(path: Path, error: OSError, remedy: str = "") -> PicanetError:
    """Returns the error for a file that cannot be written."""
    # Messages of h5py and the like are cryptic and do not name the file.
    reason = error.strerror or (os.strerror(error.errno) if error.errno else error)
    kind = DiskFullError if error.errno in FULL else PicanetError
    return kind(f"Cannot write {path}: {reason}" + (f"; {remedy}" if remedy else ""))


def sync(path: Path) -> None:
    """Flushes a file, or a directory's entries, to disk.

    Directories that may not be listed, or whose file system cannot flush them, are left
    to the system.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _UNSYNCABLE or not os.path.isdir(path):
            raise


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file, complete or not at all; creates its folder if missing.

    Raises:
        PicanetError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Writes text as UTF-8; undecodable bytes of file names in it are kept as they are.

    Raises:
        PicanetError: if the file cannot be written.
    """
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def in_utf8(text: str) -> str:
    """Escapes undecodable bytes of file names in a text, to show them."""
    return text.encode("utf-8", "backslashreplace").decode()


def write_json(path: Path, values) -> None:
    """Writes values as indented JSON; raises as `write_text`."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def read_json(path: str | os.PathLike) -> dict:
    """Reads a file that holds a JSON object, in UTF-8, with or without a BOM.

    Raises:
        PicanetError: if it cannot be read, or holds anything else.
    """
    try:
        values = json.loads(Path(path).read_text("utf-8-sig"))
    except OSError as error:
        raise PicanetError(f"Cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise PicanetError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise PicanetError(
            f"{path} must hold a JSON object. Received: {type(values).__name__}"
        )
    return values


def sha256_of(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
