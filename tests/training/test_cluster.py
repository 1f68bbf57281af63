"""Several machines, as several processes of this one."""

import contextlib
import functools
import json
import random
import re
import signal
import socket
import time

import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.core.errors import PicanetError
from picanet_tf.training.cluster import ALONE, Cluster
from picanet_tf.training.run_directory import RunDirectory
from tests import commands
from tests.training import disks
from tests.training.disks import train
from tests.training.test_survival import assert_equal, weights_of

# Generous, as the machines that test this are busy; a hang is far longer.
BOUND = 240


def config(index, count, job="worker"):
    cluster = {"worker": [f"h{i}:1" for i in range(count)]}
    return json.dumps({"cluster": cluster, "task": {"type": job, "index": index}})


def test_cluster_is_read_from_tf_config(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert Cluster.from_environment() == ALONE
    assert ALONE.chief and ALONE.size == 1
    monkeypatch.setenv("TF_CONFIG", config(0, 1))
    assert Cluster.from_environment() == ALONE
    monkeypatch.setenv("TF_CONFIG", config(2, 3))
    worker = Cluster.from_environment()
    assert (worker.index, worker.size, worker.chief) == (2, 3, False)
    assert str(worker) == "worker 2 of 3"
    jobs = {"chief": ["c:1"], "worker": ["w:1"]}
    for job, index in (("chief", 0), ("worker", 1)):
        task = {"type": job, "index": 0}
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": task}))
        assert Cluster.from_environment() == Cluster(index, ("c:1", "w:1"))


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", config(3, 3), config(-1, 3), config(0, 2, "ps"), config("a", 2)],
)
def test_invalid_tf_config_is_reported(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(PicanetError, match="TF_CONFIG must have the form .*Received"):
        Cluster.from_environment()


WORKER = """
import functools
import sys
from picanet_tf.training import step, strategy
from picanet_tf.training.cluster import Cluster
from tests.training.disks import train
from picanet_tf.training.run_directory import RunDirectory
from picanet_tf.training.errors import TrainingInterrupted
from tests.training import disks
cluster = Cluster.from_environment()
folder, data, resume = sys.argv[1:]
run = RunDirectory.open(folder)
try:
    with step.translate_worker_errors(cluster):
        train(
            run.load_experiment(),
            run,
            read_training=functools.partial(disks.read, batch_size=6),
            read_validation=disks.read_validation,
            resume=bool(resume),
            cluster=cluster,
            fingerprint=data if cluster.index else "the data",
        )
except step.WorkerLost as lost:
    print(lost)
    sys.exit(75)
except TrainingInterrupted as stop:
    print("stopped after step", stop.step)
    sys.exit(75)
"""


# All validations score alike, so that none improves.
SCORED = """
from picanet_tf.saliency.validation import SaliencyValidation
SaliencyValidation.result = lambda self: {"max_f": 0.5, "mae": 0.1}
"""


@contextlib.contextmanager
def free_port():
    """A port that is held until the end, below those that Linux gives to others."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            yield port
            return


def start(count, run, data="the data", resume="", script=WORKER):
    """Starts the workers on ports that are free now."""
    with contextlib.ExitStack() as stack:
        names = [f"127.0.0.1:{stack.enter_context(free_port())}" for _ in range(count)]
    workers = []
    for index in range(count):
        task = {"type": "worker", "index": index}
        place = json.dumps({"cluster": {"worker": names}, "task": task})
        words = ("-c", script, run.path, data, resume)
        workers.append(commands.start(*words, TF_CONFIG=place))
    return workers


def ends(workers):
    """[(exit code, output)], within the bound."""
    try:
        texts = ["".join(worker.communicate(timeout=BOUND)) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    return [(w.returncode, text) for w, text in zip(workers, texts, strict=True)]


def run_of(path, **changes):
    changes = {"dropout": 0.0, "batch_size": 6, "variant": "6GAP_5AC", **changes}
    return RunDirectory.create(disks.experiment(**changes), str(path))


def wait_for_step(run, step):
    give_up = time.monotonic() + BOUND
    while time.monotonic() < give_up:
        text = run.metrics.read_text() if run.metrics.exists() else ""
        if re.search(rf"^{step},", text, re.MULTILINE):
            return
        time.sleep(0.05)
    raise AssertionError(f"no step {step}: {text}")


@pytest.mark.slow
def test_workers_train_as_one_process(tmp_path):
    """Two machines, one of three, one alone: the same weights to 1e-5, and scores."""
    whole = run_of(tmp_path / "1")
    train(
        whole.load_experiment(),
        whole,
        read_training=functools.partial(disks.read, batch_size=6),
        read_validation=disks.read_validation,
    )
    for count in (2, 3):
        run = run_of(tmp_path / str(count))
        for code, text in ends(start(count, run)):
            assert code == 0, text[-3000:]
        assert_equal(weights_of(run), weights_of(whole), rtol=1e-5, atol=1e-5)
        assert run.validation.read_text().splitlines()[0] == "step,max_f,mae"
        scores, expected = (
            np.loadtxt(each.validation, delimiter=",", skiprows=1)
            for each in (run, whole)
        )
        assert scores[:, 0].tolist() == [3, 6]
        np.testing.assert_allclose(scores, expected, atol=1e-4)
        names = {path.name.split(".")[0] for path in run.checkpoints.iterdir()}
        assert names == {"step-3", "step-6"}


@pytest.mark.slow
def test_a_lost_worker_ends_the_job_and_it_resumes(tmp_path):
    """kill -9 of one, then SIGTERM to one: all end with 75, and no row is missing."""
    run = run_of(
        tmp_path / "run", variant="UNet", steps=400, checkpoint_interval=2,
        log_interval=1, validation_interval=1000,
    )  # fmt: skip
    workers = start(2, run)
    wait_for_step(run, 3)
    workers[1].send_signal(signal.SIGKILL)
    (code, text), (killed, _) = ends(workers)
    assert killed == -signal.SIGKILL
    assert code == 75, text[-3000:]
    assert "Another worker was lost" in text and "Traceback" not in text

    workers = start(2, run, resume="resume")
    before = len(run.metrics.read_text().splitlines())
    wait_for_step(run, before + 2)
    workers[1].send_signal(signal.SIGTERM)
    results = ends(workers)
    assert [code for code, _ in results] == [75, 75], results[0][1][-3000:]
    steps = {re.search(r"stopped after step (\d+)", text)[1] for _, text in results}
    assert len(steps) == 1
    assert (run.checkpoints / f"step-{steps.pop()}.index").exists()
    rows = [line.split(",")[0] for line in run.metrics.read_text().splitlines()[1:]]
    assert rows == [str(step) for step in range(1, len(rows) + 1)]


@pytest.mark.slow
def test_all_workers_stop_early(tmp_path):
    """Of two, only the chief validates; the other one must not wait for it forever."""
    run = run_of(
        tmp_path / "run", variant="UNet", steps=400, validation_interval=2,
        patience=2, validation_tfrecords="somewhere",
    )  # fmt: skip
    for resume in ("", "resume"):
        for code, text in ends(start(2, run, resume=resume, script=SCORED + WORKER)):
            assert code == 0, text[-3000:]
        assert run.last_step == run.recorded()["stopped_early"] == 6
    assert run.finished


def test_workers_that_differ_are_reported(tmp_path):
    run = run_of(tmp_path / "run", variant="UNet")
    for code, text in ends(start(2, run, "other data")):
        assert code == 1 and "The workers differ in: data." in text, text[-3000:]


def test_auto_precision_is_refused_for_several_workers(tmp_path):
    from picanet_tf.training.run import new_experiment

    settings = {"tfrecords": "data", "precision": "auto"}
    with pytest.raises(
        PicanetError, match="`precision` cannot be auto.*: give float32"
    ):
        new_experiment(settings, str(tmp_path / "run"), Cluster(0, ("a:1", "b:1")))
    assert new_experiment(settings, str(tmp_path / "run"), ALONE).precision == "auto"


def test_replicas_are_for_one_machine():
    from picanet_tf.training.strategy import make_strategy

    with pytest.raises(PicanetError, match="`replicas` is for one machine"):
        make_strategy(2, Cluster(0, ("a:1", "b:1")))
    assert isinstance(make_strategy(1, ALONE), tf.distribute.OneDeviceStrategy)
