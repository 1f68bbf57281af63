"""Resumable, verified and cached downloads. Imports no TensorFlow."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from absl import logging
from tqdm import tqdm

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import move_into_place, sha256_of

_BLOCK = 1 << 18
_SECONDS = 30  # without a byte, after which the connection counts as lost


def cache_folder() -> Path:
    """Returns the download cache: `picanet_tf` in Keras' cache folder."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "picanet_tf"


def download(url: str, sha256: str, size: int, name: str) -> Path:
    """Returns a file's path in the cache, downloading it if necessary.

    Partial downloads are kept as `NAME.<start of the checksum>.part` and resumed by the
    next call. Concurrent processes wait for the first one to download the file.

    Args:
        url: URL of the file.
        sha256: expected SHA-256 in hex.
        size: expected size in bytes.
        name: name of the file in the cache.

    Raises:
        PicanetError: if the download fails or yields a different file.
    """
    path = cache_folder() / name

    def is_there() -> bool:
        # Compare checksums, so that a new version under an old name is downloaded.
        return (
            path.is_file() and path.stat().st_size == size and sha256_of(path) == sha256
        )

    if is_there():
        return path
    part = path.with_name(f"{name}.{sha256[:12]}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.with_name(f".{name}.lock"), name):
            if is_there():  # Another process was faster.
                return path
            if part.exists() and part.stat().st_size > size:
                part.unlink()
            if not part.exists() or part.stat().st_size < size:
                _fetch(url, part, size)
            if part.stat().st_size < size:
                raise PicanetError(
                    f"{url} broke off after {part.stat().st_size:,} of {size:,} bytes. "
                    "Run the command again to resume"
                )
            if sha256_of(part) != sha256:
                part.unlink()
                raise PicanetError(
                    f"{url} is not the expected file: its SHA-256 differs. The "
                    "download was discarded"
                )
            move_into_place(part, path)
    except PicanetError:  # a subclass of ValueError, which is handled below
        raise
    except urllib.error.URLError as error:
        reason = getattr(error, "reason", error)
        raise PicanetError(f"Cannot download {url}: {reason}") from error
    except OSError as error:
        reason = error.strerror or error
        raise PicanetError(f"Cannot download {url} to {path}: {reason}") from error
    except (http.client.HTTPException, ValueError) as error:
        raise PicanetError(f"Cannot download {url}: {error!r}") from error
    return path


@contextlib.contextmanager
def _alone(path: Path, name: str) -> Iterator[None]:
    """Holds a lock on the download, so that only one process writes to the `.part`.

    The lock is released when its process ends for any reason; the empty lock file
    remains.
    """
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logging.info("Waiting for another process to download %s", name)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(url: str, part: Path, size: int) -> None:
    """Downloads the rest of `part`; returns early if the connection is lost."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url)
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=_SECONDS) as response:
        if have and response.status != 206:  # The server sends the whole file.
            have = 0
        with (
            part.open("r+b" if have else "wb") as file,
            tqdm(
                total=size, initial=have, unit="B", unit_scale=True, desc=part.stem
            ) as bar,
        ):
            file.seek(have)
            while have < size and (block := _read(response, min(_BLOCK, size - have))):
                file.write(block)
                have += len(block)
                bar.update(len(block))


def _read(response, most: int) -> bytes:
    """Returns the next bytes; none if the connection is lost."""
    try:
        return response.read(most)
    except (ConnectionError, TimeoutError, http.client.HTTPException):
        return b""
