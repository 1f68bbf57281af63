"""Pools of worker processes."""

import os
import pathlib
import signal
import subprocess
import sys
from concurrent.futures import Future

import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.processes import map_ahead, worker_pool

ROOT = str(pathlib.Path(__file__).parents[2])


def test_killed_worker_is_reported_in_one_line():
    """As by Linux when memory is short."""
    with pytest.raises(PicanetError) as raised, worker_pool(1) as pool:
        list(pool.map(signal.raise_signal, [signal.SIGKILL, signal.SIGKILL]))
    assert str(raised.value) == (
        "A worker process was killed, perhaps because it ran out of memory. Use fewer "
        "`workers`. Received: workers=1"
    )


def run(script):
    command, environment = [sys.executable, script], {**os.environ, "PYTHONPATH": ROOT}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_script_that_every_worker_would_run_again_is_refused(tmp_path):
    script = tmp_path / "mine.py"
    text = (
        "from picanet_tf.core.processes import worker_pool\n"
        "{}with worker_pool(1) as pool: print(pool.submit(str, 7).result())\n"
    )
    script.write_text(text.format(""))
    ran = run(script)
    assert f"{script}: every worker process would run this script again" in ran.stderr
    script.write_text(text.format('if __name__ == "__main__":\n    '))
    assert run(script).stdout == "7\n"


def test_pool_works_in_other_processes_and_in_order():
    with worker_pool(1) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()
        results = map_ahead(pool, str, range(10), chunk=3, ahead=2)
        assert [*results] == [*map(str, range(10))]


def test_little_is_computed_ahead():
    """The results would fill the memory if whoever takes them is slower."""

    class Pool:
        tasks = 0

        def submit(self, function, *args):
            self.tasks += 1
            future = Future()
            future.set_result(function(*args))
            return future

    pool = Pool()
    results = map_ahead(pool, str, range(100), chunk=10, ahead=2)
    assert pool.tasks == 2  # At once.
    assert next(results) == "0" and pool.tasks == 3
    assert [*results] == [*map(str, range(1, 100))] and pool.tasks == 10
    assert [*map_ahead(pool, str, [], chunk=10, ahead=2)] == []
