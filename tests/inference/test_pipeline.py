"""Reading ahead and writing behind: order, bad photos, errors, and how much at once."""

import collections
import threading
import time

import numpy as np
import pytest

from picanet_tf.inference import pipeline
from picanet_tf.inference.base import Model
from picanet_tf.inference.pipeline import predict_jobs
from picanet_tf.tasks.registry import get_spec

AHEAD = 10  # more than is read ahead with 4 workers and a small batch


class Bad(Exception):
    """What `read` says of a bad photo."""


class Full(Exception):
    """What every photo would raise."""


class Means(Model):
    """Instead of a network: a map of the mean of the image."""

    def __init__(self):
        super().__init__(get_spec("saliency"), 8)
        self.batches: list[int] = []

    def infer(self, batch):
        self.batches.append(len(batch))
        for image in batch:
            yield np.full([8, 8, 1], image.mean() / 255, np.float32)


def read(number):
    if number % 10 == 3:
        raise Bad(f"photo {number}")
    return np.full([4 + number % 3, 5, 3], number, np.uint8)


class Written:
    """`write`, which keeps what it was given."""

    def __init__(self, seconds=0.0):
        self.maps: dict[int, np.ndarray] = {}
        self.seconds = seconds
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def __call__(self, number, image, saliency):
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(self.seconds)
        assert image.shape[:2] == saliency.shape and image[0, 0, 0] == number
        with self._lock:
            self.at_once -= 1
            self.maps[number] = saliency


@pytest.fixture(autouse=True)
def four_cores_and_no_leaked_threads(monkeypatch):
    monkeypatch.setattr(pipeline, "cores", lambda: 4)
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def run(jobs, write, *, read=read, **options):
    return predict_jobs(Means(), jobs, read, write, fatal=(Full,), **options)


@pytest.mark.parametrize("batch_size", [1, 3, 50])
@pytest.mark.parametrize("cores", [1, 4])
def test_every_job_is_yielded_once(batch_size, cores, monkeypatch):
    monkeypatch.setattr(pipeline, "cores", lambda: cores)
    written, model = Written(), Means()
    told = []
    for job, error in predict_jobs(
        model, range(44), read, written, batch_size=batch_size
    ):
        # "Once its result is written".
        assert error or job in written.maps
        told.append((job, str(error) if error else None))
    bad = [3, 13, 23, 33, 43]
    good = [number for number in range(44) if number not in bad]
    assert sorted(told) == [(n, f"photo {n}" if n in bad else None) for n in range(44)]
    # Those that are written are yielded in order, and so are those that are not.
    assert [job for job, error in told if not error] == good
    assert [job for job, error in told if error] == bad
    assert sorted(written.maps) == good
    for number, saliency in written.maps.items():
        assert saliency.shape == (4 + number % 3, 5)
        np.testing.assert_allclose(saliency, number / 255, atol=1e-6)
    expected = [batch_size] * (39 // batch_size)
    expected += [39 % batch_size] if 39 % batch_size else []
    assert model.batches == expected


@pytest.mark.parametrize("jobs", [[], [3], [3, 13, 23], [0], [0, 3], [3, 0], [0, 0]])
def test_few_jobs_are_all_yielded(jobs):
    written = Written()
    told = list(run(iter(jobs), written, batch_size=2))
    assert sorted(job for job, _ in told) == sorted(jobs)
    assert [job for job, error in told if error] == [j for j in jobs if j % 10 == 3]
    assert sorted(written.maps) == sorted({j for j in jobs if j % 10 != 3})


def test_a_job_may_be_anything():
    """None and 0 are jobs, too."""
    jobs = [None, 0, "", (), None]
    done = []

    def blank(_):
        return np.zeros([2, 2, 3], np.uint8)

    told = run(jobs, lambda job, *_: done.append(job), read=blank)
    assert list(told) == [(job, None) for job in jobs]
    assert len(done) == 5


@pytest.mark.parametrize("batch_size", [1, 3])
def test_reading_ahead_is_bounded(batch_size):
    begun, told = [], 0

    def counted(number):
        begun.append(number)
        return np.full([2, 2, 3], number, np.uint8)

    pulled = []

    def jobs():
        for number in range(60):
            pulled.append(number)
            yield number

    for _ in run(jobs(), Written(), read=counted, batch_size=batch_size):
        told += 1
        # Read ahead, in the batch, and being written.
        assert len(begun) - told <= 2 * max(batch_size, 5) + batch_size
        assert len(pulled) - told <= 2 * max(batch_size, 5) + batch_size
    assert told == 60


def test_network_waits_for_a_slow_writer():
    """The network does not run away from it: results are photos in memory, too."""
    written, model = Written(seconds=0.01), Means()
    ahead = 0
    for told, _ in enumerate(predict_jobs(model, [1] * 40, read, written), start=1):
        ahead = max(ahead, len(model.batches) - told)
    assert ahead <= 6 and 2 <= written.most_at_once <= 4


def test_reading_and_writing_go_on_while_the_network_runs():
    """Photos are read and written at the same time, not in turns."""

    class Slow(Means):
        def infer(self, batch):
            noted("network", time.sleep)(0.02)
            yield from super().infer(batch)

    def slow_read(number):
        time.sleep(0.02)
        return np.zeros([2, 2, 3], np.uint8)

    def slow_write(*_):
        time.sleep(0.02)

    seen = collections.Counter()

    def noted(name, call):
        def run(*arguments):
            seen.update(frozenset((name, other)) for other in {*active} - {name})
            active.append(name)
            try:
                return call(*arguments)
            finally:
                active.remove(name)

        return run

    active: list[str] = []
    done = list(
        predict_jobs(
            Slow(),
            range(30),
            noted("read", slow_read),
            noted("write", slow_write),
        )
    )
    assert len(done) == 30
    for pair in ("read", "network"), ("write", "network"), ("read", "write"):
        assert seen[frozenset(pair)] > 5, pair


def test_fatal_error_in_write_ends_the_run():
    done = []

    def full(number, *_):
        if number == 7:
            raise Full("No space left on device")
        done.append(number)

    told = []
    with pytest.raises(Full, match="No space left"):
        for job, _ in run([n for n in range(200) if n % 10 != 3], full):
            told.append(job)
    assert told == [0, 1, 2, 4, 5, 6]
    # What came before is written, and little of what comes after.
    assert {0, 1, 2, 4, 5, 6} <= set(done) and max(done) < 7 + 2 * AHEAD


def test_fatal_error_in_read_ends_the_run():
    def broken(number):
        if number == 7:
            raise Full
        return np.zeros([2, 2, 3], np.uint8)

    done = []
    with pytest.raises(Full):
        list(run(range(200), lambda job, *_: done.append(job), read=broken))
    assert set(done) <= set(range(7))


@pytest.mark.parametrize("error", [ZeroDivisionError, OSError, MemoryError])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_error_of_one_photo_does_not_stop_the_others(error, batch_size):
    """Whatever goes wrong with it, and wherever."""

    def odd_read(number):
        if number == 7:
            raise error("read")
        # Of a shape that nothing can resize.
        return np.zeros([2, 2, 3] if number != 9 else [0, 2, 3], np.uint8)

    done = []

    def odd_write(number, *_):
        if number == 11:
            raise error("write")
        done.append(number)

    told = list(run(range(40), odd_write, read=odd_read, batch_size=batch_size))
    assert sorted(job for job, _ in told) == list(range(40))
    errors = {job: raised for job, raised in told if raised}
    assert errors.keys() == {7, 9, 11} and sorted(done + [7, 9, 11]) == list(range(40))
    assert [type(errors[n]) for n in (7, 9, 11)] == [error, ValueError, error]
    assert str(errors[11]) == "write"


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_error_of_the_network_ends_the_run(error):
    class Broken(Means):
        def infer(self, batch):
            if len(self.batches) == 4:
                raise error
            yield from super().infer(batch)

    written = Written()
    with pytest.raises(error):
        list(predict_jobs(Broken(), range(200), read, written))
    assert set(written.maps) <= {0, 1, 2, 4}


def test_ctrl_c_is_answered_at_once(caplog):
    all_readers_busy, told_early = threading.Event(), []

    class Interrupted(Means):
        def infer(self, batch):
            assert all_readers_busy.wait(10)
            raise KeyboardInterrupt

    def slow(number):
        if number == 4:  # photo 0 has been read: four readers hold 1, 2, 3 and 4
            all_readers_busy.set()
        if number:
            deadline = time.monotonic() + 10
            while not caplog.messages and time.monotonic() < deadline:
                time.sleep(0.005)
            told_early.extend(caplog.messages)
        return read(number)

    with caplog.at_level("INFO", "absl"), pytest.raises(KeyboardInterrupt):
        list(predict_jobs(Interrupted(), range(200), slow, Written()))
    assert told_early and "finishing the 4 photos in progress" in told_early[0]


def test_error_of_the_job_iterator_ends_the_run():
    def jobs():
        yield from range(3)
        raise RuntimeError("the folder is gone")

    with pytest.raises(RuntimeError, match="the folder is gone"):
        list(run(jobs(), Written()))


def test_closing_early_stops_reading_and_writing():
    begun, written = [], Written(seconds=0.01)

    def counted(number):
        begun.append(number)
        return np.full([2, 2, 3], number, np.uint8)

    told = run(range(200), written, read=counted)
    assert next(told) == (0, None)
    told.close()
    assert len(begun) <= 2 * AHEAD
    after = dict(written.maps)
    time.sleep(0.05)
    assert written.maps.keys() == after.keys() and written.at_once == 0


def test_jobs_that_have_not_begun_are_dropped_on_failure():
    """A batch of 20 is read ahead while the network fails."""
    begun = []

    class Broken(Means):
        def infer(self, batch):
            raise MemoryError

    def slow(number):
        begun.append(number)
        time.sleep(0.005 if number < 20 else 0.3)
        return np.zeros([2, 2, 3], np.uint8)

    with pytest.raises(MemoryError):
        list(predict_jobs(Broken(), range(200), slow, Written(), batch_size=20))
    assert 20 <= len(begun) <= 24
