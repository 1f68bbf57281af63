"""Pools of worker processes."""

import os
import signal

import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.processes import worker_pool


def test_killed_worker_is_reported_in_one_line():
    """As by Linux when memory is short."""
    with pytest.raises(PicanetError) as raised, worker_pool(1) as pool:
        list(pool.map(signal.raise_signal, [signal.SIGKILL, signal.SIGKILL]))
    assert str(raised.value) == (
        "A worker process was killed, perhaps because it ran out of memory. Use fewer "
        "`workers`. Received: workers=1"
    )


def test_pool_works_in_other_processes():
    with worker_pool(1) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()
