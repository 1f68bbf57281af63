"""Pools of worker processes that end with their parent. Imports no TensorFlow."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from picanet_tf.core.signals import Terminated


def cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes; what has not begun is dropped on the way out.

    Processes are spawned, not forked: a fork of a process with TensorFlow's threads may
    hang. So the calling script needs `if __name__ == "__main__"`. They leave Ctrl-C to
    their parent and end with it, even if it is killed. Wrap what submits work in
    `signals.sigint_blocked`, since the pool starts its processes then.

    Args:
        workers: how many processes, at least 1.
    """
    others, patient = multiprocessing.active_children(), True
    executor = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_initialize_worker,
    )
    try:
        yield executor
    except Terminated:
        # The executor waits for ever, at times, for workers that the signal has ended.
        patient = False
        for process in set(multiprocessing.active_children()).difference(others):
            process.kill()
        raise
    finally:
        executor.shutdown(wait=patient, cancel_futures=True)


def _initialize_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A parent that was killed cannot tell its workers, which would wait for ever.
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
