"""Trains in processes that die: `python -m tests.training.deaths FOLDER REPLICAS SEED`.

Leaves FOLDER/whole, a run without a death, and FOLDER/killed, the same run whose
process was killed again and again and resumed; prints a line a death. Processes are
forked after the imports, which take longer than a tiny run.
"""

import contextlib
import os
import random
import signal
import sys
import time
from pathlib import Path

from picanet_tf.training import callbacks, run_directory
from picanet_tf.training.run_directory import RunDirectory
from tests.training import disks
from tests.training.disks import train

DEATHS = ("step", "sync", "sync", "inside a checkpoint")


def die_at(owner, name, countdown):
    """SIGKILL instead of the `countdown`-th call of `owner.name`."""
    real = getattr(owner, name)

    def deadly(*arguments, **options):
        nonlocal countdown
        countdown -= 1
        if countdown == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)

    setattr(owner, name, deadly)


def forked(path, how="", number=0) -> int:
    """Trains in a process of its own; returns its wait status."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        if how == "step":
            die_at(callbacks.ProgressBar, "on_step", number)
        elif how == "sync":
            die_at(run_directory.os, "fsync", number)
        run = RunDirectory.open(path)
        train(run.load_experiment(), run, read_training=disks.read, resume=True)
        os._exit(0)
    if how == "inside a checkpoint":
        return killed_while_writing(child, Path(path, "checkpoints"), number)
    return os.waitpid(child, 0)[1]


def killed_while_writing(child, folder, looks) -> int:
    """Kills the child when it was seen `looks` times with files half written."""

    def half_written():
        found = set()
        for file in (*folder.glob(".writing*"), *folder.glob(".writing*/*")):
            with contextlib.suppress(FileNotFoundError):
                found.add((file, file.stat().st_mtime_ns))
        return found

    before = half_written()  # left by another death
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        looks -= bool(half_written() - before)
        if looks <= 0:
            os.kill(child, signal.SIGKILL)
            return os.waitpid(child, 0)[1]
        time.sleep(1e-4)


def main(folder, replicas, seed):
    experiment = disks.experiment(
        variant="UNet",
        steps=8,
        checkpoint_interval=2,
        replicas=int(replicas),
    )
    for name in ("whole", "killed"):
        RunDirectory.create(experiment, f"{folder}/{name}")
    assert forked(f"{folder}/whole") == 0
    draw = random.Random(int(seed))
    deaths = list(DEATHS)
    draw.shuffle(deaths)
    for how in [*deaths, ""]:
        number = draw.randint(1, {"step": 3, "sync": 9}.get(how, 3))
        begin = time.monotonic()
        status = forked(f"{folder}/killed", how, number)
        written = sorted(p.name for p in Path(folder, "killed/checkpoints").glob("*"))
        print(
            f"death: {how or 'none'} {number}, status {status}, "
            f"{time.monotonic() - begin:.1f} s, {' '.join(written)}",
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
