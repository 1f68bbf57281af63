"""What train.py makes of devices, of data that have moved, and of other processes."""

import json
import shutil

import pytest

from data_pipeline.manifest import load_manifest
from picanet_tf.training.run_directory import RunDirectory
from tests import commands
from tests.test_train_cli import TINY, data, error_of, run  # noqa: F401

ANY_BATCH = (*TINY[:8], *TINY[10:])  # without --batch_size


@pytest.mark.slow
def test_default_batch_is_adapted_to_two_devices(data, tmp_path):  # noqa: F811
    """The documented command: 9 images are no multiple of two, of three they are."""
    words = ("--tfrecords", data, *ANY_BATCH, "--replicas", "2")
    done = run("train.py", *words, "--run", "two", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Batches of 10 images instead of 9, so that each of 2 replicas gets 5" in (
        done.stderr
    )
    assert RunDirectory(tmp_path / "two").load_experiment().batch_size == 10
    done = run("train.py", "--resume", "--run", "two", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = run("train.py", *words, "--batch_size", "9", cwd=tmp_path)
    assert "--batch_size is the images over all replicas and must be" in error_of(done)


ALL_DEVICES = """
import sys
import tensorflow as tf
from picanet_tf.training import strategy
from picanet_tf.training.run import train

def all_devices(replicas, cluster):
    strategy._split_cpu(2)
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )

strategy.make_strategy = all_devices
settings = dict(
    variant="UNet", width=1 / 32, image_size=32, backbone_weights="none", steps=1
)
made = train(tfrecords=sys.argv[1], run=f"{sys.argv[2]}/run", **settings)
try:
    train(tfrecords=sys.argv[1], run=f"{sys.argv[2]}/no", batch_size=9, **settings)
except Exception as error:
    print(error)
print(made.load_experiment().batch_size)
"""


@pytest.mark.slow
def test_default_batch_is_adapted_to_all_devices(data, tmp_path):  # noqa: F811
    """Their number is known once TensorFlow runs; here they are two halves of a CPU."""
    done = commands.call("-c", ALL_DEVICES, data, tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    error, size = done.stdout.splitlines()
    assert size == "10"
    assert error.startswith("`batch_size` is the images over all replicas and must")
    assert error.endswith("Received: 9 for 2 replicas")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.slow
def test_trainings_started_at_once_keep_their_runs(data, tmp_path):  # noqa: F811
    """All begin in the same second or so; none takes another's directory."""
    words = ("train.py", "--tfrecords", data, *TINY)
    started = [
        commands.start(*words, "--seed", seed, cwd=tmp_path, HOME=str(tmp_path))
        for seed in range(3)
    ]
    for process in started:
        _, stderr = process.communicate(timeout=400)
        assert process.returncode == 0, stderr
    found = {path.name for path in (tmp_path / "runs").iterdir()}
    assert len(found) == 4 and "latest" in found
    runs = [RunDirectory.open(tmp_path / "runs" / name) for name in found - {"latest"}]
    assert {run.load_experiment().seed for run in runs} == {0, 1, 2}
    for each in runs:
        assert each.last_step == 2 and each.weights().exists()
    latest = RunDirectory.open(tmp_path / "runs" / "latest")
    assert latest.path.name in found


@pytest.fixture
def moved(data, tmp_path):  # noqa: F811
    """A run that has trained one step of two, the data of which have moved."""
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(data, old)
    words = ("--tfrecords", "old", *TINY[:-1], "1", "--run", "run")
    constant = ("--rate_schedule", "constant")
    done = run("train.py", *words, *constant, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "run" / "experiment.json"
    path.write_text(path.read_text().replace('"steps": 1,', '"steps": 2,'))
    old.rename(new)
    return tmp_path


def test_moved_data_must_be_given_on_resuming(moved):
    resume = ("train.py", "--resume", "--run", "run")
    error = error_of(run(*resume, cwd=moved))
    assert error == (
        "train.py: error: The data set old of the run run is not there. If it has "
        "moved, give its new folder as --tfrecords"
    )
    other = moved / "other"
    shutil.copytree(moved / "new", other)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["name"] = "other"
    (other / "manifest.json").write_text(json.dumps(manifest))
    before = (moved / "run" / "experiment.json").read_text()
    error = error_of(run(*resume, "--tfrecords", "other", cwd=moved))
    assert (
        "The training set other has changed since the run began: it was tiny of 3 "
        "images, now it is other of 3 images. Restore the old data, or"
    ) in error.replace(load_manifest(moved / "new").name, "tiny")
    (other / "manifest.json").write_bytes((moved / "new/manifest.json").read_bytes())
    (shard,) = other.glob("*.tfrecord")
    shard.unlink()
    error = error_of(run(*resume, "--tfrecords", "other", cwd=moved))
    assert f"other/{shard.name}: missing, but listed in the manifest" in error
    error = error_of(run(*resume, "--tfrecords", "other/manifest.json", cwd=moved))
    assert "--tfrecords: other/manifest.json: a file, not a data set folder" in error
    assert "moved" not in RunDirectory(moved / "run").recorded()
    error = error_of(run(*resume, "--validation_tfrecords", "new", cwd=moved))
    assert "keeps its settings; in run --validation_tfrecords was ''" in error
    assert (moved / "run" / "experiment.json").read_text() == before

    done = run(*resume, "--tfrecords", "new", cwd=moved)
    assert done.returncode == 0, done.stderr
    found = RunDirectory(moved / "run")
    assert found.last_step == 2
    assert found.load_experiment().tfrecords == "new"
    (move,) = found.recorded()["moved"]
    assert move == {"setting": "tfrecords", "from": "old", "to": "new"}
    done = run(*resume, cwd=moved)  # found again without the flag
    assert done.returncode == 0, done.stderr
    assert len(found.recorded()["moved"]) == 1


def test_known_corrupt_records_are_left_out_of_moved_data(data, tmp_path):  # noqa: F811
    """They are the same ones, wherever the data are."""
    shutil.copytree(data, tmp_path / "old")
    (shard,) = (tmp_path / "old").glob("*.tfrecord")
    content = bytearray(shard.read_bytes())
    content[-100] ^= 1
    shard.write_bytes(content)
    words = ("--tfrecords", "old", *TINY, "--run", "run", "--skip_corrupt", "1")
    done = run("train.py", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "old").rename(tmp_path / "new")
    done = run(
        "train.py", "--resume", "--run", "run", "--tfrecords", "new", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "other records are corrupt" not in done.stderr
    (line,) = RunDirectory(tmp_path / "run").recorded()["left_out"]["new"]
    assert line.startswith("new/00000.tfrecord: offset ")
