"""Files that a command found but does not read, with the reason."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path


class Reason(enum.Enum):
    """Why a file is passed over, as (singular, plural) for messages."""

    RESULT = "result of an earlier run", "results of earlier runs"
    OUTPUT = "in the output folder", "in the output folder"
    VIDEO = "video", "videos"
    UNKNOWN = "of an unknown format", "of unknown formats"
    HIDDEN = "hidden", "hidden"
    SPECIAL = "not a regular file", "not regular files"


_MAX_EXTENSIONS = 5


def describe(passed_over: Mapping[Path, Reason], *, advise: bool = True) -> str:
    """Describes the files in one line; "" if there are none.

    Args:
        passed_over: the files, with the reason.
        advise: whether to say how to have videos predicted.

    Example:
        >>> describe({Path("a.xcf"): Reason.UNKNOWN, Path("b.mp4"): Reason.VIDEO})
        'Passed over 2 files: 1 video (name it to predict it), 1 of an unknown format
        (.xcf)'
    """
    if not passed_over:
        return ""
    total = len(passed_over)
    parts = []
    for reason in Reason:
        paths = [path for path, why in passed_over.items() if why is reason]
        if paths:
            one, many = reason.value
            words = f"{len(paths):,} {one if len(paths) == 1 else many}"
            parts.append(words + _note(reason, paths, advise))
    files = "file" if total == 1 else "files"
    return f"Passed over {total:,} {files}: {', '.join(parts)}"


def _note(reason: Reason, paths: list[Path], advise: bool) -> str:
    if reason is Reason.VIDEO and advise:
        it = "it" if len(paths) == 1 else "them"
        return f" (name {it} to predict {it})"
    if reason is Reason.UNKNOWN:
        extensions = {path.suffix.lower() or "no extension" for path in paths}
        shown = sorted(extensions)[:_MAX_EXTENSIONS]
        more = ["..."] if len(extensions) > len(shown) else []
        return f" ({', '.join(shown + more)})"
    return ""
