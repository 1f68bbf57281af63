"""The processor: its cores, and what it computes fast. Imports no TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# {flag in /proc/cpuinfo: name}, the faster unit first
_BFLOAT16 = {"amx_bf16": "AMX-BF16", "avx512_bf16": "AVX512-BF16"}


def cores() -> int:
    """Returns the number of CPU cores available to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def bfloat16_unit(cpuinfo: str | None = None) -> str:
    """Returns the unit that multiplies bfloat16 matrices, such as "AMX-BF16", or "".

    Args:
        cpuinfo: text of /proc/cpuinfo; None: this machine's. Systems without that file,
            and processors other than x86, count as having no such unit.
    """
    if cpuinfo is None:
        try:
            cpuinfo = CPUINFO.read_text()
        except OSError:
            return ""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            found = set(value.split())
            return next((unit for flag, unit in _BFLOAT16.items() if flag in found), "")
    return ""
