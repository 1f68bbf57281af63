"""Files that appear whole or not at all, and their checksums. Imports no TensorFlow."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from pathlib import Path

from picanet_tf.core.errors import PicanetError


@contextlib.contextmanager
def replacing(path: Path):
    """Yields a temporary path beside `path`, renamed to it when all went well.

    The temporary name keeps the suffix, which says the format to many a writer. After
    a power cut there is the old file or the new one.

    Raises:
        PicanetError: it cannot be written, as on a full disk; the old file stays.
    """
    path = Path(path)
    writer = f"{os.getpid()}-{threading.get_native_id()}"
    temporary = path.with_name(f".{_short(path.stem)}.{writer}.tmp{path.suffix}")
    try:
        yield temporary
        move_into_place(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def move_into_place(source: Path, target: Path) -> None:
    """Renames a file to `target`, replacing it; after a power cut one of both is there.

    Args:
        source, target: on one file system.

    Raises:
        OSError: it cannot be renamed.
    """
    sync(source)
    os.replace(source, target)
    sync(Path(target).parent)


def _short(stem: str) -> str:
    """So that a long name has room for what makes it a temporary one."""
    return os.fsdecode(os.fsencode(stem)[:100])


def cannot_write(path: Path, error: OSError) -> PicanetError:
    """What to say of a file that cannot be written."""
    # h5py's and the like are full of numbers, and name no file.
    reason = error.strerror or (os.strerror(error.errno) if error.errno else error)
    return PicanetError(f"Cannot write {path}: {reason}")


def sync(path: Path) -> None:
    """Waits until a file's content, or the names in a directory, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text)


def write_json(path: Path, values) -> None:
    write_text(path, json.dumps(values, indent=2) + "\n")


def sha256_of(path: str | os.PathLike) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
