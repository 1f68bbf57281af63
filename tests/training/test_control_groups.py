"""Memory limits of containers, off files as the kernel writes them."""

import math
from pathlib import Path

import pytest

from picanet_tf.training import machine
from picanet_tf.training.control_groups import memory_limit

GB = 10**9


def fake(folder, groups, mounts, limits) -> Path:
    """Files of a process: its groups, mounts (root, place, type, options), limits."""
    process = folder / "proc"
    process.mkdir()
    (process / "cgroup").write_text("".join(f"{line}\n" for line in groups))
    lines = [
        f"{number} 22 0:30 {root} {folder}/{place} rw,relatime shared:9 - {kind} none "
        f"rw,{options}\n"
        for number, (root, place, kind, options) in enumerate(mounts)
    ]
    (process / "mountinfo").write_text(
        "".join(["1 0 8:1 / / rw - ext4 /dev/a rw\n", *lines])
    )
    for path, limit in limits.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(f"{limit}\n")
    return process


V2 = [("/", "cg", "cgroup2", "nsdelegate")]
V1 = [("/", "cg/cpu", "cgroup", "cpu"), ("/", "cg/memory", "cgroup", "memory")]
UNLIMITED = 9223372036854771712


@pytest.mark.parametrize(
    ("groups", "mounts", "limits", "expected"),
    [
        # A service or a batch job: the limit is its own group's, not the root's.
        (
            ["0::/system.slice/job.scope"],
            V2,
            {"cg/system.slice/job.scope/memory.max": 4 * GB},
            4 * GB,
        ),
        # The group's own is "max", and that of one above counts; the smallest does.
        (
            ["0::/a/b/c"],
            V2,
            {
                "cg/a/b/c/memory.max": "max",
                "cg/a/b/memory.max": 3 * GB,
                "cg/a/memory.max": 2 * GB,
                "cg/other/memory.max": 1,
            },
            2 * GB,
        ),
        # A container with a namespace of its own.
        (["0::/"], V2, {"cg/memory.max": 6 * GB}, 6 * GB),
        # One that sees the host's path, but only its own part of the tree.
        (
            ["5:cpu:/docker/f00", "4:memory:/docker/f00", "0::/"],
            [("/docker/f00", "cg/memory", "cgroup", "memory")],
            {"cg/memory/memory.limit_in_bytes": 5 * GB},
            5 * GB,
        ),
        # Its group is outside of what it sees.
        (["0::/../other"], V2, {"cg/memory.max": 7 * GB}, 7 * GB),
        # Version 1, as Slurm makes it; the limit of the job is smaller.
        (
            ["3:cpu,cpuacct:/elsewhere", "4:memory:/slurm/job/step"],
            V1,
            {
                "cg/memory/slurm/job/step/memory.limit_in_bytes": UNLIMITED,
                "cg/memory/slurm/job/memory.limit_in_bytes": 8 * GB,
                "cg/memory/memory.limit_in_bytes": UNLIMITED,
                "cg/cpu/elsewhere/memory.limit_in_bytes": 1,
            },
            8 * GB,
        ),
        # Both versions at once, memory in the first.
        (
            ["4:memory:/a", "0::/b"],
            [*V1, ("/", "cg/unified", "cgroup2", "x")],
            {"cg/memory/a/memory.limit_in_bytes": 9 * GB},
            9 * GB,
        ),
        # A space in the place of a mount.
        (["0::/a"], [("/", r"c\040g", "cgroup2", "x")], {"c g/a/memory.max": GB}, GB),
        (["0::/a"], V2, {"cg/a/memory.max": "max"}, math.inf),
        (["0::/a"], [], {}, math.inf),
        ([], V2, {}, math.inf),
        (["nonsense", "::"], V2, {}, math.inf),
    ],
)
def test_smallest_limit_up_the_tree_counts(groups, mounts, limits, expected, tmp_path):
    assert memory_limit(fake(tmp_path, groups, mounts, limits)) == expected


def test_without_proc_there_is_no_limit(tmp_path):
    assert memory_limit(tmp_path) == math.inf


def test_the_memory_of_this_machine_is_limited(monkeypatch):
    total, _ = machine.memory()
    monkeypatch.setattr(machine, "memory_limit", lambda: total / 4)
    limited, free = machine.memory()
    assert limited == total / 4 and free <= limited
