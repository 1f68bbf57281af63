"""The loop on a network of 1/32 of the channels and synthetic disks."""

import csv
import random
import signal
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.backbones.vgg16_weights import CONV_LAYERS
from picanet_tf.core.errors import PicanetError
from picanet_tf.saliency import build_model
from picanet_tf.training import initialization
from picanet_tf.training.errors import TrainingError, TrainingInterrupted
from picanet_tf.training.run_directory import RunDirectory
from tests import commands
from tests.training import disks
from tests.training.disks import train


def run_of(folder, **changes):
    return RunDirectory.create(disks.experiment(**changes), str(folder))


def trained(run, **options):
    options = {"read_training": disks.read, **options}
    train(run.load_experiment(), run, **options)
    return weights_of(run)


def weights_of(run, which="model"):
    model = keras.saving.load_model(run.weights(which), compile=False)
    return {variable.path: variable.numpy() for variable in model.weights}


def assert_same(ours, theirs, **tolerance):
    assert ours.keys() == theirs.keys()
    for path in ours:
        np.testing.assert_allclose(ours[path], theirs[path], err_msg=path, **tolerance)


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def stopping_after(step):
    """Batches, and a Ctrl-C when batch `step` (from 1) is read, maybe far ahead."""
    sent = []  # A second one, as batches are read for the panels too, stops at once.

    def read(start, share=(0, 1)):
        dataset = disks.read(start)

        def maybe_stop(number):
            if number == step - 1 and not sent:
                sent.append(number)
                signal.raise_signal(signal.SIGINT)
            return number

        numbers = tf.data.Dataset.range(start, 10**9).map(
            lambda n: tf.py_function(maybe_stop, [n], tf.int64)
        )
        return tf.data.Dataset.zip(dataset, numbers).map(lambda pair, _: pair)

    return read


def test_loss_falls_and_is_recorded_in_the_run(tmp_path):
    run = run_of(tmp_path / "run", variant="UNet", steps=60, validation_interval=30)
    trained(run, read_validation=disks.read_validation)
    metrics = rows(run.metrics)
    assert [int(row["step"]) for row in metrics] == list(range(2, 61, 2))
    assert float(metrics[-1]["loss"]) < 0.5 * float(metrics[0]["loss"])
    assert set(metrics[0]) == {"step", "loss", *(f"stage{i}" for i in range(1, 7))}
    scores = rows(run.validation)
    assert [int(row["step"]) for row in scores] == [30, 60]
    assert float(scores[-1]["max_f"]) > 0.8
    best = max(scores, key=lambda row: float(row["max_f"]))
    best_weights, last = weights_of(run, "best"), weights_of(run)
    kernels = [path for path in last if path.endswith("kernel")]
    same = all(np.array_equal(best_weights[path], last[path]) for path in kernels)
    assert same == (best is scores[-1])
    assert {path.name.split(".")[0] for path in run.checkpoints.glob("*.index")} == {
        "step-57",
        "step-60",
    }
    events = list(run.tensorboard.glob("events*"))
    tags = {
        value.tag
        for event in tf.compat.v1.train.summary_iterator(str(events[0]))
        for value in event.summary.value
    }
    assert {"training/loss", "validation/mae"} <= tags
    assert any("prediction" in tag for tag in tags)


@pytest.mark.slow
def test_float16_trains_like_float32(tmp_path):
    """With loss scaling, whose first scales are too large: those steps are left out."""
    losses = {}
    for precision in ("float32", "mixed_float16"):
        run = run_of(
            tmp_path / precision, variant="UNet", steps=40, precision=precision,
            dropout=0.0,
        )  # fmt: skip
        weights = trained(run)
        assert {value.dtype for value in weights.values()} == {np.dtype("float32")}
        losses[precision] = [float(row["loss"]) for row in rows(run.metrics)]
    assert keras.config.dtype_policy().name == "float32"  # Networks built after it.
    assert losses["mixed_float16"][-1] < 0.6 * losses["mixed_float16"][0]
    np.testing.assert_allclose(
        np.mean(losses["mixed_float16"][-5:]), np.mean(losses["float32"][-5:]), rtol=0.2
    )


def test_a_resumed_run_ends_at_the_same_weights(tmp_path):
    """With dropout, momentum, a learning rate step at 3 and 4, and batch norms."""
    whole = trained(run_of(tmp_path / "whole"))
    run = run_of(tmp_path / "pieces")
    with pytest.raises(TrainingInterrupted, match="after step"):
        trained(run, read_training=stopping_after(4))
    assert_same(trained(run, resume=True), whole, rtol=0, atol=0)
    assert [int(row["step"]) for row in rows(run.metrics)] == [2, 4, 6]


def test_run_that_another_process_trains_is_refused(tmp_path):
    run = run_of(tmp_path / "run", variant="UNet", steps=1)
    with run.locked(), pytest.raises(PicanetError, match="Another process is training"):
        trained(run)
    assert not run.begun
    trained(run)  # Its own lock has ended with it.
    assert run.begun


def test_callers_random_generators_go_on(tmp_path):
    run = run_of(tmp_path / "run", variant="UNet", steps=1)
    python, numpy = random.getstate(), np.random.get_state()
    train(run.load_experiment(), run)
    assert random.getstate() == python
    np.testing.assert_equal(np.random.get_state(), numpy)


def test_last_row_covers_the_remaining_steps(tmp_path):
    """Of the steps after the last multiple of `log_interval`."""
    logged = {}
    for interval in (1, 3):
        run = run_of(tmp_path / str(interval), steps=5, log_interval=interval)
        trained(run)
        logged[interval] = {
            int(row["step"]): float(row["loss"]) for row in rows(run.metrics)
        }
    assert logged[3].keys() == {3, 5}
    assert logged[3][5] == pytest.approx((logged[1][4] + logged[1][5]) / 2, rel=1e-4)


def test_last_row_is_written_even_if_the_last_step_is_interrupted(tmp_path):
    """A resumed run takes no more steps, and so could not write it."""
    run = run_of(tmp_path / "run", variant="UNet", steps=1, log_interval=3)
    signals = [signal.SIGINT]

    def read(step, share=(0, 1)):
        while signals:
            signal.raise_signal(signals.pop())
        return disks.read(step)

    with pytest.raises(TrainingInterrupted):
        trained(run, read_training=read)
    assert [int(row["step"]) for row in rows(run.metrics)] == [1]


def test_last_row_is_written_even_if_the_last_weights_are_not(tmp_path, monkeypatch):
    run = run_of(tmp_path / "run", variant="UNet", steps=1, log_interval=3)

    def full(*_):
        raise PicanetError("full")

    with monkeypatch.context() as patch:
        patch.setattr("picanet_tf.training.learner.Learner.save", full)
        with pytest.raises(PicanetError, match="full"):
            trained(run)
    trained(run, resume=True)
    assert [int(row["step"]) for row in rows(run.metrics)] == [1]


def test_the_checkpoint_that_is_called_intact_is(tmp_path):
    """The newest one was damaged, and passed over."""
    run = run_of(tmp_path / "run", variant="UNet", steps=2, checkpoint_interval=1)
    trained(run)
    (run.checkpoints / "step-2.index").write_bytes(b"")

    def read(step, share=(0, 1)):
        return disks.read(step).map(lambda images, mask: (images + np.nan, mask))

    with pytest.raises(TrainingError, match="of step 1, is intact"):
        trained(run, read_training=read, resume=True)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    run = run_of(tmp_path / "run", variant="UNet", learning_rate=1e30)
    with pytest.raises(
        TrainingError, match="not finite at step [23] .*There is no checkpoint yet"
    ):
        trained(run)
    assert not (run.path / "model.keras").exists()


def test_weights_of_another_run_with_a_frozen_encoder(tmp_path):
    first = run_of(tmp_path / "first", variant="UNet", steps=1)
    before = trained(first)
    second = run_of(
        tmp_path / "second",
        variant="6GAP",
        steps=2,
        init_from=str(first.path),
        freeze_encoder=True,
    )
    after = trained(second, init_from=first.weights())
    encoder = [path for path in after if path.startswith(("block", "fc"))]
    assert len(encoder) == 30
    for path in encoder:
        np.testing.assert_array_equal(after[path], before[path])
    # D5 was taken and trained on; D6's attention is new.
    assert not np.array_equal(after["d5_fuse/kernel"], before["d5_fuse/kernel"])
    np.testing.assert_allclose(
        after["d5_fuse/kernel"], before["d5_fuse/kernel"], atol=0.02
    )
    assert "d6_gap/conv/kernel" in after


def test_a_frozen_encoder_trains_what_got_no_weights(tiny_network):
    """fc6 and fc7 are none of HED's: frozen, they would stay as they were drawn."""
    model = tiny_network("UNet")
    experiment = disks.experiment(freeze_encoder=True, backbone_weights="hed")
    initialization.make_optimizer(model, experiment, pretrained=CONV_LAYERS)
    frozen = {layer.name for layer in model.layers if not layer.trainable}
    assert frozen == set(CONV_LAYERS)


def test_frozen_blocks_stay_as_they_are(tmp_path):
    """Others of the encoder train at its rate, and its gradients end at the frozen."""
    first = run_of(tmp_path / "first", variant="UNet", steps=1)
    before = trained(first)
    second = run_of(
        tmp_path / "second",
        variant="UNet",
        steps=2,
        init_from=str(first.path),
        freeze_blocks=2,
    )
    after = trained(second, init_from=first.weights())
    same = {path for path in before if np.array_equal(after[path], before[path])}
    assert {path for path in same if "kernel" in path} == {
        f"block{block}_conv{conv}/kernel" for block in (1, 2) for conv in (1, 2)
    }


def test_blocks_without_weights_cannot_be_frozen(tiny_network, monkeypatch):
    monkeypatch.setattr(
        initialization,
        "load_vgg16_weights",
        lambda *_: SimpleNamespace(loaded=("block2_conv1",)),
    )
    experiment = disks.experiment(freeze_blocks=1, backbone_weights="hed")
    with pytest.raises(
        PicanetError,
        match="`freeze_blocks` needs trained weights, but hed fits no layer of the "
        "encoder's blocks 1 to 1",
    ):
        initialization.load_initial_weights(tiny_network("UNet"), experiment, None)


@pytest.mark.parametrize("freeze_encoder", [True, False])
def test_init_from_a_network_of_another_width_is_refused(freeze_encoder, tmp_path):
    """Nothing of it fits, so that the training would start from random weights."""
    wide = build_model("UNet", image_size=32, width=1 / 16)
    path = tmp_path / "wide.keras"
    wide.save(path)
    run = run_of(
        tmp_path / "run",
        variant="UNet",
        freeze_encoder=freeze_encoder,
        init_from=str(path),
    )
    with pytest.raises(PicanetError, match="`init_from` .*wide.keras: No weights of"):
        trained(run, init_from=path)


def test_a_stop_before_the_first_step_makes_no_run(tmp_path, monkeypatch):
    """It ends as without a signal handler, since nothing was begun."""
    load_initial_weights = initialization.load_initial_weights
    for number, left in (
        (signal.SIGINT, KeyboardInterrupt),
        (signal.SIGTERM, SystemExit),
    ):

        def asked(*arguments, number=number):
            signal.raise_signal(number)
            return load_initial_weights(*arguments)

        monkeypatch.setattr(initialization, "load_initial_weights", asked)
        with pytest.raises(left):
            train(
                disks.experiment(variant="UNet"),
                RunDirectory(tmp_path / "run"),
                read_training=disks.read,
                new_run={"path": str(tmp_path / "run")},
            )
        assert list(tmp_path.iterdir()) == []


def test_a_stop_while_the_first_step_is_traced_waits_for_it(tmp_path):
    run = run_of(tmp_path / "run", variant="UNet", steps=5)

    signals = [signal.SIGINT]

    def read(step, share=(0, 1)):
        while signals:
            signal.raise_signal(signals.pop())
        return disks.read(step)

    with pytest.raises(TrainingInterrupted) as stop:
        trained(run, read_training=read)
    assert stop.value.step == 1 and run.weights().exists()


def test_backbone_weights_of_another_width_are_reported(tmp_path):
    with pytest.raises(PicanetError, match="hed.*block1_conv1.*found"):
        trained(run_of(tmp_path / "narrow", backbone_weights="hed", variant="UNet"))


REPLICAS = """
import sys
from tests.training.disks import train
from picanet_tf.training.run_directory import RunDirectory
from tests.training import disks
networks = {
    "paper": {"variant": "6GAP_5432AC"},
    "quick": {"variant": "UNet", "clip_norm": 0.5, "ema_decay": 0.5},
}
for name, settings in networks.items():
    for replicas in (2, 1):
        settings = {**settings, "dropout": 0.0, "steps": 3, "replicas": replicas}
        experiment = disks.experiment(**settings)
        run = RunDirectory.create(experiment, f"{sys.argv[1]}/{name}-{replicas}")
        train(experiment, run, read_training=disks.read)
"""


@pytest.mark.slow
def test_two_replicas_train_as_one(tmp_path):
    """Every layer kind of 6GAP_5432AC; the sums differ in order, hence 1e-5."""
    # Two CPU devices must be set up before TensorFlow runs: a process of its own.
    done = commands.call("-c", REPLICAS, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("paper", "quick"):
        runs = (RunDirectory.open(tmp_path / f"{name}-{n}") for n in (1, 2))
        one, two = map(weights_of, runs)
        assert_same(one, two, rtol=1e-5, atol=1e-5)
