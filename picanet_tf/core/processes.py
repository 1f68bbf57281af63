"""Pools of worker processes that exit with their parent. Imports no TensorFlow."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.signals import Terminated


@contextlib.contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Context manager of a process pool; pending work is cancelled on exit.

    Processes are spawned, not forked, because forking a process with TensorFlow's
    threads may hang; the calling script therefore needs `if __name__ == "__main__"`.
    Workers ignore Ctrl-C and exit with their parent, even if it is killed. Submit work
    inside `signals.sigint_blocked`, since submitting starts the processes.

    Args:
        workers: number of processes, at least 1.

    Raises:
        PicanetError: if a worker was killed, as the system does when memory is short.
    """
    others, patient = multiprocessing.active_children(), True
    executor = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_initialize_worker,
    )
    try:
        yield executor
    except BrokenProcessPool as error:
        raise PicanetError(
            "A worker process was killed, perhaps because it ran out of memory. Use "
            f"fewer `workers`. Received: workers={workers}"
        ) from error
    except Terminated:
        # The executor may wait forever for workers that the signal has ended.
        patient = False
        # Up to Python 3.12, its thread fails on futures that are cancelled already.
        threading.excepthook = lambda _: None
        for process in set(multiprocessing.active_children()).difference(others):
            process.kill()
        raise
    finally:
        executor.shutdown(wait=patient, cancel_futures=True)


def _initialize_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A killed parent cannot notify its workers, which would wait forever.
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
