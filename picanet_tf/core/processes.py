"""Pools of worker processes that exit with their parent. Imports no TensorFlow."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.signals import Terminated, sigint_blocked


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
        PicanetError: if the calling script lacks `if __name__ == "__main__"`, or a
            worker was killed, as the system does when memory is short.
    """
    _check_main()
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


def _check_main() -> None:
    """Raises `PicanetError` if the workers would run the calling script again."""
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    name = getattr(getattr(main, "__spec__", None), "name", "")
    if path is None or name.endswith("__main__"):  # Such as `python -m package`.
        return
    with contextlib.suppress(OSError):
        if "__name__" not in Path(path).read_text("utf-8", errors="replace"):
            raise PicanetError(
                f"{path}: every worker process would run this script again. Put what "
                'it does below the line: if __name__ == "__main__":'
            )


def map_ahead(
    pool: Executor, function: Callable, items: Iterable, *, chunk: int, ahead: int
) -> Iterator:
    """Maps in order, as `pool.map` does, but holds a limited number of results.

    Args:
        pool: from `worker_pool`.
        function, items: what to call, and with what.
        chunk: items per task.
        ahead: tasks that are begun at once, before the first result is asked for.
    """
    items, tasks = iter(items), deque()

    def submit() -> None:
        if part := list(itertools.islice(items, chunk)):
            with sigint_blocked():
                tasks.append(pool.submit(_map, function, part))

    for _ in range(ahead):
        submit()

    def results() -> Iterator:
        while tasks:
            found = tasks.popleft().result()
            submit()
            yield from found

    return results()


def _map(function: Callable, items: list) -> list:
    return list(map(function, items))


def _initialize_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A killed parent cannot notify its workers, which would wait forever.
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
