"""Runs that are killed, and what is left of them."""

import errno
import logging
import resource

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import replacing
from picanet_tf.training.callbacks import TableWriter
from picanet_tf.training.checkpoints import Checkpoints
from picanet_tf.training.errors import TrainingError
from picanet_tf.training.run_directory import RunDirectory
from tests import commands
from tests.training import disks
from tests.training.disks import train


def weights_of(run):
    model = keras.saving.load_model(run.weights(), compile=False)
    return {variable.path: variable.numpy() for variable in model.weights}


def assert_equal(ours, theirs, **tolerance):
    assert ours.keys() == theirs.keys()
    for path in ours:
        np.testing.assert_allclose(ours[path], theirs[path], err_msg=path, **tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("replicas, seed", [(1, 1), (2, 2)])
def test_a_killed_run_ends_at_the_same_weights(replicas, seed, tmp_path):
    """Four `kill -9`: at a step, on the way to the disk, inside TensorFlow's writing.

    Bit for bit, with dropout, momentum, and two falls of the rate.
    """
    done = commands.call("-m", "tests.training.deaths", tmp_path, replicas, seed)
    assert done.returncode == 0, done.stderr[-3000:]
    deaths = [line for line in done.stdout.splitlines() if "status 9" in line]
    assert len(deaths) == 4, done.stdout
    whole, killed = (RunDirectory.open(tmp_path / n) for n in ("whole", "killed"))
    assert_equal(weights_of(killed), weights_of(whole), rtol=0, atol=0)
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


def test_fallback_replaces_the_damaged_checkpoint(tmp_path):
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
    with pytest.raises(PicanetError, match="the run cannot be resumed"):
        train(run.load_experiment(), run, read_training=disks.read, resume=True)


def test_later_and_torn_rows_are_removed_on_resuming(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\n2,1.5\n4,1.25\n6,1\n8,0.")
    TableWriter(path, start=4).write(6, {"loss": 0.75})
    assert path.read_text() == "step,loss\n2,1.5\n4,1.25\n6,0.75\n"
    path.write_text("step,loss\n2,1.5\n4,1.2")
    TableWriter(path, start=4).write(6, {"loss": 0.75})
    assert path.read_text() == "step,loss\n2,1.5\n6,0.75\n"


def test_resumed_run_can_add_columns(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\n2,1.5\n")
    table = TableWriter(path, start=2)
    table.write(4, {"loss": 1.25, "skipped": 1})
    table.write(6, {"loss": 0.75, "skipped": 2})
    assert path.read_text() == "step,loss,skipped\n2,1.5,\n4,1.25,1\n6,0.75,2\n"


def test_tables_hold_any_file_names(tmp_path):
    path = tmp_path / "skipped.csv"
    for step, name in enumerate(("caf\udce9.jpg", "字.jpg")):  # caf\xe9, as bytes
        TableWriter(path, start=step).write(step, {"records": name})
    assert path.read_bytes() == b"step,records\n0,caf\xe9.jpg\n1,\xe5\xad\x97.jpg\n"


def test_damaged_table_is_reported(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\nabc,1\n")
    with pytest.raises(PicanetError, match="metrics.csv is damaged: the row abc,1 beg"):
        TableWriter(path, start=4)
    assert path.read_text() == "step,loss\nabc,1\n"


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    checkpoints = saved(tmp_path, 5, 10)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("picanet_tf.training.checkpoints.sync", full)
        with pytest.raises(
            PicanetError, match="step-15: No space left.*step-10, is intact"
        ):
            checkpoints.save(15)
    # A limit on files' sizes is what TensorFlow's own writing can be made to meet.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(PicanetError, match="Cannot write the checkpoint .*step-15"):
            checkpoints.save(15)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("old")
    with pytest.raises(PicanetError, match="Cannot write .*model.keras: No space left"):
        with replacing(path):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert [p.name for p in tmp_path.iterdir()] == ["model.keras"]
    assert path.read_text() == "old"


def poisoned(*steps):
    """Batches of disks; those of `steps` (from 1) hold an infinite pixel."""

    def read(start, share=(0, 1)):
        numbers = tf.data.Dataset.range(start + 1, 10**9)

        def spoil(pair, number):
            image, mask = pair
            bad = tf.reduce_any(number == tf.constant(steps, tf.int64))
            return tf.where(bad, np.inf, 1.0) * image, mask

        return tf.data.Dataset.zip(disks.read(start, share=share), numbers).map(spoil)

    return read


def keys_of(step):
    return [f"a{step}", f"b{step}"]


def test_a_bad_batch_is_named(tmp_path):
    run = RunDirectory.create(
        disks.experiment(variant="UNet", checkpoint_interval=2), str(tmp_path / "run")
    )
    with pytest.raises(
        TrainingError, match="at step 4 .* is 'a3', 'b3'. .*of step 2, is"
    ):
        train(
            run.load_experiment(),
            run,
            read_training=poisoned(4),
            read_keys=keys_of,
        )
    assert sorted(path.name for path in run.checkpoints.glob("*.index")) == [
        "step-2.index"
    ]
    assert np.isfinite(
        np.concatenate([w.ravel() for w in weights_of(run).values()])
    ).all()


@pytest.mark.slow
def test_skipped_batch_leaves_no_trace_in_the_weights(tmp_path, caplog):
    """Steps 1, 2, 4, 5 of 5 end where the same four batches end without the third."""
    settings = {"variant": "UNet", "checkpoint_interval": 2, "log_interval": 1}
    settings |= {"rate_boundaries": (100,), "on_nonfinite": "skip"}

    def without_the_third(start, share=(0, 1)):
        return disks.read(0).take(2).concatenate(disks.read(3)).skip(start)

    skipped = RunDirectory.create(
        disks.experiment(steps=5, **settings), str(tmp_path / "skipped")
    )
    train(
        skipped.load_experiment(),
        skipped,
        read_training=poisoned(3),
        read_keys=keys_of,
    )
    clean = RunDirectory.create(
        disks.experiment(steps=4, **settings), str(tmp_path / "clean")
    )
    train(clean.load_experiment(), clean, read_training=without_the_third)
    assert_equal(weights_of(skipped), weights_of(clean), rtol=0, atol=0)
    assert skipped.skipped.read_text().splitlines()[0] == "step,not finite,records"
    row = skipped.skipped.read_text().splitlines()[1].split(",")
    assert row[0] == "3" and row[2] == "a2 b2"
    metrics = skipped.metrics.read_text().splitlines()
    assert [line.split(",")[0] for line in metrics[1:]] == ["1", "2", "4", "5"]
    assert [line.split(",")[-1] for line in metrics] == ["skipped", "0", "0", "1", "1"]
    assert "1 of 5 batches were not finite and were skipped" in caplog.text


def test_training_stops_after_many_skipped_batches(tmp_path):
    run = RunDirectory.create(
        disks.experiment(variant="UNet", steps=50, on_nonfinite="skip"),
        str(tmp_path / "run"),
    )
    with pytest.raises(TrainingError, match="20 batches before step 21 were not"):
        train(run.load_experiment(), run, read_training=poisoned(*range(1, 51)))
