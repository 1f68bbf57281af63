"""Numbered versions of an export, each published by one renaming.

export/picanet/1/      TF Serving loads the highest number and looks again and again
export/picanet/2/      what is hidden or no number it passes over
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from picanet_tf.core.directories import Staged, publishing
from picanet_tf.core.errors import PicanetError


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
        raise PicanetError(f"`output`: {base} is a file, not a folder")
    if version is None:
        return max(versions(base), default=0) + 1
    if (base / str(version)).exists() and not overwrite:
        raise PicanetError(
            f"`version`: {base / str(version)} exists already. Give `overwrite` to "
            "replace it, or leave `version` out for the next one"
        )
    return version


def publishing_version(
    base: Path, version: int | None, overwrite: bool
) -> contextlib.AbstractContextManager[Staged]:
    """`core.directories.publishing` of a version; the next one where none is named.

    Raises:
        PicanetError: as `check_version`.
    """
    number = check_version(base, version, overwrite)
    return publishing(
        base / str(number),
        overwrite=overwrite,
        next_path=lambda: base / str(check_version(base, version, overwrite=False)),
    )
