"""A job queue with worker threads and a capacity limit."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial


class QueueFull(Exception):
    """The queue is full."""


class Job:
    """A function to call in a thread, and its future result.

    Args:
        function: called in a thread with the job; may check `job.abandoned` between its
            steps.
        cost: share of the queue's capacity.

    Attributes:
        result: a future; cancelling it abandons the job, like `JobQueue.abandon`.
        started: whether the job has been started.
    """

    def __init__(self, function: Callable[[Job], object], cost: int):
        self.function = function
        self.cost = cost
        self.result = asyncio.get_running_loop().create_future()
        self.started = False

    @property
    def abandoned(self) -> bool:
        return self.result.cancelled()


class JobQueue:
    """A FIFO queue that runs jobs concurrently as long as their costs fit.

    Threads cannot be interrupted: an abandoned job counts towards the capacity until it
    returns. Call all methods from the event loop's thread.

    Args:
        capacity: largest total cost of running jobs.
        threads: largest number of running jobs.
        length: largest number of waiting jobs.
    """

    def __init__(self, capacity: int, threads: int, length: int):
        self._capacity = capacity
        self._least = math.ceil(capacity / threads)
        self._length = length
        self._waiting: deque[Job] = deque()
        self._busy = self._running = 0
        self._seconds = 1.0  # moving average of a job's run time
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="job")

    @property
    def waiting(self) -> int:
        """Number of waiting jobs."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Number of running jobs, abandoned ones included."""
        return self._running

    @property
    def delay(self) -> int:
        """Estimated seconds until all waiting jobs have been started."""
        # Little's law: jobs finish at the rate running / seconds.
        seconds = self._seconds * len(self._waiting) / (self._running or 1)
        return max(1, math.ceil(seconds))

    def check(self) -> None:
        """Checks that another job can be added now.

        Raises:
            QueueFull: if the queue is full.
        """
        starts = not self._waiting and self._busy + self._least <= self._capacity
        if len(self._waiting) >= self._length and not starts:
            raise QueueFull

    def add(self, function: Callable[[Job], object], cost: int) -> Job:
        """Adds a job, which is started immediately or waits.

        Args:
            function, cost: see `Job`; the cost is capped at the capacity.

        Raises:
            QueueFull: if the queue is full.
        """
        job = Job(function, min(max(cost, self._least), self._capacity))
        self._waiting.append(job)
        self._start_waiting()
        if len(self._waiting) > self._length:
            self._waiting.pop()
            raise QueueFull
        return job

    def abandon(self, job: Job) -> None:
        """Removes a waiting job, or discards a running job's result."""
        if not job.result.cancel() and not job.result.cancelled():
            job.result.exception()  # marks it as retrieved, or asyncio would warn
        if not job.started and job in self._waiting:
            self._waiting.remove(job)
            self._start_waiting()

    def close(self) -> None:
        """Drops waiting jobs; does not wait for running ones."""
        self._waiting.clear()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _start_waiting(self) -> None:
        while self._waiting and self._busy + self._waiting[0].cost <= self._capacity:
            job = self._waiting.popleft()
            job.started = True
            self._busy += job.cost
            self._running += 1
            running = asyncio.get_running_loop().run_in_executor(
                self._executor, job.function, job
            )
            running.add_done_callback(partial(self._done, job, time.monotonic()))

    def _done(self, job: Job, start: float, running: asyncio.Future) -> None:
        self._busy -= job.cost
        self._running -= 1
        self._seconds += 0.2 * (time.monotonic() - start - self._seconds)
        if not running.cancelled():
            error = running.exception()
            if not job.result.done():
                if error is None:
                    job.result.set_result(running.result())
                else:
                    job.result.set_exception(error)
        self._start_waiting()
