"""The queue: what waits for its turn, and what is worked on, in threads."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial


class QueueFull(Exception):
    """No more jobs may wait."""


class Job:
    """One function to call, and its result to come.

    Args:
        function: called in a thread with the job, whose `abandoned` it may look at
            between its steps.
        cost: its share of the queue's capacity.

    Attributes:
        result: a future; cancelling it abandons the job, as `JobQueue.abandon` does.
        started: whether it is, or was, worked on.
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
    """First come, first served; several at once as long as their costs fit.

    A job's thread cannot be stopped: its cost counts until it returns, whether anyone
    still wants the result or not. All methods belong to the event loop's thread.

    Args:
        capacity: of the costs of all jobs that are worked on at once.
        threads: jobs that are worked on at once, at most.
        length: jobs that may wait.
    """

    def __init__(self, capacity: int, threads: int, length: int):
        self._capacity = capacity
        self._least = math.ceil(capacity / threads)
        self._length = length
        self._waiting: deque[Job] = deque()
        self._busy = self._running = 0
        self._seconds = 1.0  # that a job takes, lately
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="job")

    @property
    def waiting(self) -> int:
        """Jobs that have not been started."""
        return len(self._waiting)

    @property
    def delay(self) -> int:
        """Seconds after which those that wait now will have been started, about."""
        # Little's law: jobs are done at the rate running / seconds.
        seconds = self._seconds * len(self._waiting) / (self._running or 1)
        return max(1, math.ceil(seconds))

    def check(self) -> None:
        """Whether one more job may wait at this moment.

        Raises:
            QueueFull: it may not.
        """
        starts = not self._waiting and self._busy + self._least <= self._capacity
        if len(self._waiting) >= self._length and not starts:
            raise QueueFull

    def add(self, function: Callable[[Job], object], cost: int) -> Job:
        """A job that is started at once, or waits.

        Args:
            function, cost: as of `Job`; a cost above the capacity counts as that much.

        Raises:
            QueueFull: it can do neither.
        """
        job = Job(function, min(max(cost, self._least), self._capacity))
        self._waiting.append(job)
        self._start_waiting()
        if len(self._waiting) > self._length:
            self._waiting.pop()
            raise QueueFull
        return job

    def abandon(self, job: Job) -> None:
        """Gives up a job's place, or its result; nothing to do for one that is done."""
        if not job.result.cancel() and not job.result.cancelled():
            job.result.exception()  # asyncio would complain that nobody looked at it
        if not job.started and job in self._waiting:
            self._waiting.remove(job)
            self._start_waiting()

    def close(self) -> None:
        """Starts nothing more; what is worked on is not waited for."""
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
