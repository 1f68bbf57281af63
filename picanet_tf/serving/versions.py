"""Numbered versions of an export, each published by an atomic rename.

    export/picanet/1/
    export/picanet/2/

TF Serving polls the folder and loads the highest number; it ignores hidden folders and
other names.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from picanet_tf.core.directories import Staged, publishing
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import read_json
from picanet_tf.core.path_checks import name_others

MODEL_CARD = Path("assets") / "model_card.json"  # which every version holds


def versions(base: Path) -> list[int]:
    """Returns the version numbers in a folder, in ascending order."""
    if not base.is_dir():
        return []
    return sorted(int(p.name) for p in base.iterdir() if p.name.isdecimal())


def check_version(base: Path, version: int | None, overwrite: bool) -> int:
    """Returns the version number to write, by default the next one.

    Raises:
        PicanetError: if `base` is a file, or the version exists; with `overwrite`, only
            if it is not an export or holds other files.
    """
    if base.exists() and not base.is_dir():
        raise PicanetError(f"`output`: {base} is a file, not a folder")
    if version is None:
        return max(versions(base), default=0) + 1
    folder = base / str(version)
    if not os.path.lexists(folder):
        return version
    if not (folder / MODEL_CARD).is_file():
        raise PicanetError(
            f"`version`: {folder} exists already, and is not an export: it has no "
            f"{MODEL_CARD}. Give another `version` or `output`"
        )
    if not overwrite:
        raise PicanetError(
            f"`version`: {folder} exists already. Give `overwrite` to replace it, or "
            "omit `version` for the next one"
        )
    try:
        files = read_json(folder / MODEL_CARD)["files"]
        others = name_others(folder, files)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise PicanetError(
            f"`version`: {folder} exists already, and its {MODEL_CARD} does not list "
            "the files that `overwrite` may replace. Delete it first, or give another "
            "`version`"
        ) from error
    if others:
        raise PicanetError(
            f"`version`: {folder} holds files that are not of its export, so "
            f"`overwrite` does not touch it: {others}. Move them away, or give another "
            "`version`"
        )
    return version


@contextlib.contextmanager
def publishing_version(
    base: Path, version: int | None, overwrite: bool
) -> Iterator[Staged]:
    """Publishes a version, by default the next one, by `core.directories.publishing`.

    Raises:
        PicanetError: see `check_version`.
    """
    number = check_version(base, version, overwrite)
    with publishing(
        base / str(number),
        # The next version replaces no other, not even one written in the meantime.
        overwrite=overwrite and version is not None,
        next_path=lambda: base / str(check_version(base, version, overwrite=False)),
    ) as staged:
        yield staged
        check_version(base, version, overwrite)  # Others may have written since.
