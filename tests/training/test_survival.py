"""Runs that are killed, and what is left of them."""

import logging
import subprocess
import sys

import keras
import numpy as np
import pytest

from picanet_tf.errors import PicanetError
from picanet_tf.training.callbacks import TableWriter
from picanet_tf.training.checkpoints import Checkpoints
from picanet_tf.training.loop import train
from picanet_tf.training.run_directory import RunDirectory
from tests.training import disks


def weights_of(run):
    model = keras.saving.load_model(run.weights(), compile=False)
    return {variable.path: variable.numpy() for variable in model.weights}


@pytest.mark.parametrize("replicas, seed", [(1, 1), (2, 2)])
def test_a_killed_run_ends_at_the_same_weights(replicas, seed, tmp_path):
    """Six `kill -9`: at steps, at each way to the disk, inside TensorFlow's writing.

    Bit for bit, with dropout, momentum, and two falls of the rate.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.deaths",
         str(tmp_path), str(replicas), str(seed)],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    deaths = [line for line in done.stdout.splitlines() if "status 9" in line]
    assert len(deaths) >= 4, done.stdout
    whole, killed = (RunDirectory.open(tmp_path / n) for n in ("whole", "killed"))
    ours, theirs = weights_of(killed), weights_of(whole)
    assert ours.keys() == theirs.keys()
    for path in ours:
        np.testing.assert_array_equal(ours[path], theirs[path], err_msg=path)
    assert killed.metrics.read_text() == whole.metrics.read_text()
    # The whole state too: velocities, seeds, batch norms.
    data = "step-8.data-00000-of-00001"
    assert (killed.checkpoints / data).read_bytes() == (
        whole.checkpoints / data
    ).read_bytes()
    assert {path.name.split(".")[0] for path in killed.checkpoints.iterdir()} == {
        "step-6",
        "step-8",
    }


def small():
    model = keras.Sequential(
        [keras.Input([30]), keras.layers.Dense(40, name="dense")], name="model"
    )
    optimizer = keras.optimizers.SGD(momentum=0.9)
    optimizer.build(model.trainable_variables)
    return model, optimizer


def saved(folder, *steps):
    model, optimizer = small()
    checkpoints = Checkpoints(folder, model, optimizer)
    for step in steps:
        model.layers[0].bias.assign(np.full(40, step, np.float32))
        checkpoints.save(step)
    return checkpoints


def cut(content, at):
    return content[: int(len(content) * at)]


def flip(content, at):
    place = min(int(len(content) * at), len(content) - 1)
    return content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [cut, flip])
@pytest.mark.parametrize("suffix", ["index", "data-00000-of-00001"])
@pytest.mark.parametrize("at", [0.0, 0.4, 0.999])
def test_a_damaged_checkpoint_falls_back_and_says_so(
    damage, suffix, at, tmp_path, caplog
):
    saved(tmp_path, 5, 10)
    broken = tmp_path / f"step-10.{suffix}"
    broken.write_bytes(damage(broken.read_bytes(), at))
    model, optimizer = small()
    with caplog.at_level(logging.WARNING):
        assert Checkpoints(tmp_path, model, optimizer).restore() == 5
    np.testing.assert_array_equal(model.layers[0].bias, np.full(40, 5.0))
    assert f"Cannot restore {tmp_path}/step-10" in caplog.text


def test_all_damaged_is_an_error(tmp_path):
    saved(tmp_path, 5, 10)
    for path in tmp_path.glob("*.data*"):
        path.write_bytes(cut(path.read_bytes(), 0.5))
    with pytest.raises(PicanetError, match="No checkpoint in .* can be restored"):
        Checkpoints(tmp_path, *small()).restore()


def test_a_fallback_replaces_what_it_passed_over(tmp_path):
    checkpoints = saved(tmp_path, 5, 10)
    (tmp_path / "step-10.index").write_bytes(b"")
    assert checkpoints.restore() == 5
    checkpoints.save(7)
    assert [path.name for path in checkpoints.written] == ["step-5", "step-7"]
    assert sorted(path.name.split(".")[0] for path in tmp_path.iterdir()) == [
        *["step-5"] * 2,
        *["step-7"] * 2,
    ]


def test_weights_without_checkpoints_are_not_trained_over(tmp_path):
    run = RunDirectory.create(disks.experiment(), str(tmp_path / "run"))
    assert not run.begun
    run.record(pretrained_layers=[])
    (run.path / "model.keras").write_text("precious")
    with pytest.raises(PicanetError, match="nothing to resume"):
        train(run.load_experiment(), run, read_training=disks.read, resume=True)


def test_rows_after_the_step_and_torn_ones_go(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\n2,1.5\n4,1.25\n6,1\n8,0.")
    TableWriter(path, start=4).write(6, {"loss": 0.75})
    assert path.read_text() == "step,loss\n2,1.5\n4,1.25\n6,0.75\n"
    path.write_text("step,loss\n2,1.5\n4,1.2")
    TableWriter(path, start=4).write(6, {"loss": 0.75})
    assert path.read_text() == "step,loss\n2,1.5\n6,0.75\n"
