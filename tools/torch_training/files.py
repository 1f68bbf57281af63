"""Files that are replaced completely, or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a path beside `path`, with the same suffix, that replaces it on success.

    Raises:
        OSError: if it cannot be written; the message names `path`, which is unchanged.
    """
    path = Path(path)
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    except (OSError, RuntimeError) as error:
        # PyTorch's own errors name neither the file nor the cause.
        reason = getattr(error, "strerror", None) or "the disk may be full"
        raise OSError(f"cannot write {path}: {reason}") from error
    finally:
        part.unlink(missing_ok=True)
