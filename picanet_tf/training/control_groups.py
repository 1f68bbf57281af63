"""The memory limit of a container, a batch job or a service. Imports no TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

# File of a group's limit in bytes, by the file system's type: versions 2 and 1.
_LIMIT_FILES = {"cgroup2": "memory.max", "cgroup": "memory.limit_in_bytes"}


def memory_limit(process: Path = Path("/proc/self")) -> float:
    """Returns the smallest memory limit of a process's control groups, in bytes.

    A limit holds for all groups below its own, so those of the process's group and of
    all groups above are compared.

    Args:
        process: folder of the process in /proc.

    Returns:
        The limit; infinity if there is none or it cannot be read.
    """
    limits = [float("inf")]
    for file in _limit_files(process):
        try:
            limits.append(float(file.read_text()))
        except (OSError, ValueError):  # The root has no file; "max" is no limit.
            continue
    return min(limits)


def _limit_files(process: Path) -> Iterator[Path]:
    """Yields the limit files from the process's groups up to the mounts' roots."""
    try:
        groups = _memory_groups((process / "cgroup").read_text(errors="replace"))
        mounts = (process / "mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return
    for line in mounts.splitlines():
        fields, _, kind = line.partition(" - ")
        kind, _, options = kind.partition(" ")
        if kind not in groups or len(fields.split()) < 5:
            continue
        if kind == "cgroup" and "memory" not in options.split()[-1].split(","):
            continue  # version 1 has a mount for each controller
        root, mount = map(_unescape, fields.split()[3:5])
        folder = top = Path(mount)
        # Inside a namespace, the root of the mount is the container's own group.
        if _is_inside(groups[kind], root):
            folder = top / groups[kind][len(root) :].lstrip("/")
        while folder != top:
            yield folder / _LIMIT_FILES[kind]
            folder = folder.parent
        yield top / _LIMIT_FILES[kind]


def _memory_groups(text: str) -> dict[str, str]:
    """Parses /proc/self/cgroup to {type of file system: path of the group}."""
    groups = {}
    for line in text.splitlines():
        _, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        if not controllers:
            groups["cgroup2"] = path
        elif "memory" in controllers.split(","):
            groups["cgroup"] = path
    return groups


def _is_inside(path: str, root: str) -> bool:
    inside = path == root or path.startswith(root.rstrip("/") + "/")
    return inside and ".." not in path.split("/")


def _unescape(path: str) -> str:
    """Decodes mountinfo's octal escapes, such as \\040 for a space."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)
