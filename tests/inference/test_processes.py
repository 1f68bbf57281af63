"""Models in other processes: pickled, copied, forked; and loaded many times."""

import copy
import gc
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.core.errors import PicanetError
from picanet_tf.inference import KerasModel, load_model
from tests.commands import ROOT
from tests.inference import networks
from tests.inference.networks import photo

ENGINES = pytest.mark.parametrize("engine", ["litert", "keras"])


@pytest.fixture
def path(litert_file, engine):
    keras_file = litert_file.with_name("model.keras")
    return {"litert": litert_file, "keras": keras_file}[engine]


@ENGINES
def test_copies_are_loaded_from_the_same_file(path, engine, monkeypatch):
    monkeypatch.chdir(path.parent)
    model = load_model(path.name, engine=engine)
    monkeypatch.chdir("/")  # The path that a pickle holds is absolute.
    expected = model.predict(photo())
    pickled = pickle.dumps(model)
    assert len(pickled) < 1000 and str(path).encode() in pickled
    for other in (pickle.loads(pickled), copy.copy(model), copy.deepcopy(model)):
        assert type(other) is type(model) and other is not model
        np.testing.assert_array_equal(other.predict(photo()), expected)


def test_a_network_that_was_never_a_file_is_pickled_whole(network):
    model = KerasModel(network)
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(other.predict(photo()), model.predict(photo()))


def test_a_preset_is_pickled_by_its_name():
    model = load_model("picanet_vgg16_duts", threads=2)
    assert len(pickle.dumps(model)) < 1000
    assert pickle.loads(pickle.dumps(model)).path == model.path


@ENGINES
def test_spawned_workers_get_the_model(path, engine):
    model = load_model(path, engine=engine)
    images = [photo(seed=seed) for seed in range(2)]
    expected = [model.predict(image) for image in images]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.map(model.predict, images)
    np.testing.assert_array_equal(found, expected)


def pool_error(kind, function, image):
    """The error that a pool of one process raises; fails if it takes a minute."""
    with multiprocessing.get_context(kind).Pool(1) as pool:
        with pytest.raises(PicanetError) as raised:
            pool.map_async(function, [image]).get(timeout=60)
    return str(raised.value)


@pytest.mark.parametrize("saved", [True, False])
def test_a_forked_pool_raises_that_keras_cannot_run(network, litert_file, saved):
    path = litert_file.with_name("model.keras")
    model = load_model(path) if saved else KerasModel(network)
    error = pool_error("fork", model.predict, photo())
    assert error.startswith("This process was forked from one that has used TensorFlow")


@pytest.mark.parametrize("kind", ["fork", "spawn"])
@ENGINES
def test_a_pool_raises_that_the_file_has_moved(path, kind, engine, tmp_path):
    if (kind, engine) == ("fork", "keras"):
        pytest.skip("Keras cannot run in a forked process")
    moved = Path(shutil.copy(path, tmp_path))
    model = load_model(moved, engine=engine)
    moved.unlink()
    assert str(moved) in pool_error(kind, model.predict, photo())


def test_an_unpickled_model_is_loaded_by_its_first_use(litert_file, tmp_path):
    path = Path(shutil.copy(litert_file, tmp_path))
    model = load_model(path, engine="litert")
    first, second = (pickle.loads(pickle.dumps(model)) for _ in range(2))
    third = pickle.loads(pickle.dumps(second))  # without loading it
    assert first.image_size == model.image_size
    path.unlink()
    np.testing.assert_array_equal(first.predict(photo()), model.predict(photo()))
    for other in (second, third):
        with pytest.raises(PicanetError, match=str(path)):
            other.image_size  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        first.colour  # noqa: B018


def forked(function):
    """What a function returns in a forked process; fails if it takes 30 seconds."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = function()
        except BaseException as error:
            answer = error
        try:
            os.write(writer, pickle.dumps(answer))
        finally:
            os._exit(0)
    os.close(writer)
    deadline = time.monotonic() + 30
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the forked process hangs")
        time.sleep(0.05)
    with open(reader, "rb") as pipe:
        return pickle.loads(pipe.read())


def test_litert_runs_in_a_forked_process(litert_file):
    model = load_model(litert_file, engine="litert", threads=4)
    expected = model.predict(photo())

    def predict_and_delete():
        nonlocal model
        found = model.predict(photo())
        del model  # Its interpreter would wait for the parent's threads.
        gc.collect()
        return found.mean()

    assert forked(predict_and_delete) == expected.mean()


def test_keras_says_that_it_cannot_run_in_a_forked_process(litert_file):
    path = litert_file.with_name("model.keras")
    model = load_model(path)
    model.predict(photo())
    for function in (lambda: model.predict(photo()), lambda: load_model(path)):
        error = forked(function)
        assert type(error) is PicanetError
        assert str(error).startswith("This process was forked from one that has used")
        assert 'multiprocessing.get_context("spawn")' in str(error)


def test_many_keras_models_without_a_warning_of_retracing(litert_file, monkeypatch):
    warnings = []
    monkeypatch.setattr(tf.get_logger(), "warning", lambda *said: warnings.append(said))
    path = litert_file.with_name("model.keras")
    for _ in range(7):
        load_model(path).predict(photo())
    assert warnings == []


@pytest.mark.slow
@ENGINES
def test_memory_stays_flat(litert_file, engine, tmp_path):
    path = litert_file
    if engine == "keras":  # of a variant whose operations have gradients of their own
        path = tmp_path / "model.keras"
        networks.network("5432AC").save(path)
    code = f"""if True:
        import gc, numpy as np, picanet_tf
        image = np.zeros([40, 40, 3], np.uint8)
        used = []
        for number in range(15):
            model = picanet_tf.load_model({str(path)!r}, engine={engine!r})
            model.predict(image)
            gc.collect()
            resident = int(open("/proc/self/statm").read().split()[1]) * 4096
            used.append(resident / 2**20)
        print(used[-1] - used[5])
        """
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("no /proc to read the memory from")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 15  # megabytes for nine loads; each graph takes 6
