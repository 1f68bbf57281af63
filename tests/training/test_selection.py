"""Which network is the best, when a training stops early, and data without objects."""

import logging
import math
import re
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.core.errors import PicanetError
from picanet_tf.saliency.validation import SaliencyValidation
from picanet_tf.tasks.base import Validation
from picanet_tf.training import selection
from picanet_tf.training.callbacks import ProgressBar
from picanet_tf.training.errors import TrainingError, TrainingInterrupted
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.run_directory import RunDirectory
from picanet_tf.training.selection import ObjectWatch, Selection
from tests.training import disks
from tests.training.test_trainer import rows, run_of, stopping_after, weights_of

NAN = math.nan


class Memory:
    """As `Checkpoints` keeps it."""

    best, waited = None, 0


class Scored(Validation):
    best = "score"
    update = result = None


Scored.__abstractmethods__ = frozenset()


def decisions(scores, patience=0):
    """[(better, exhausted)] of each validation."""
    chosen = Selection(Memory(), patience)
    return [
        (chosen.improves(Scored(), {"score": score}), chosen.exhausted)
        for score in scores
    ]


def test_nan_is_never_the_best_score():
    """As the first score, it would keep all later ones from being better."""
    found = [better for better, _ in decisions([NAN, 0.2, NAN, 0.1, 0.3])]
    assert found == [False, True, False, False, True]


def test_patience_counts_validations_without_improvement():
    scores = [0.5, 0.4, 0.6, 0.6, 0.5, 0.4]
    assert [stop for _, stop in decisions(scores, patience=2)] == [
        *(False, False, False, False),
        *(True, True),
    ]
    assert not any(stop for _, stop in decisions(scores))
    assert not any(stop for _, stop in decisions([NAN] * 5, patience=2))


def without_objects():
    """Validation batches whose masks are black."""
    return disks.read_validation().map(lambda image, mask: (image, 0 * mask))


def test_without_any_object_the_best_has_the_lowest_mae(tmp_path, caplog):
    run = run_of(tmp_path / "run", variant="UNet", steps=9, learning_rate=0.2)
    with caplog.at_level(logging.WARNING):
        disks.train(
            run.load_experiment(),
            run,
            read_training=disks.read,
            read_validation=without_objects,
        )
    scores = rows(run.validation)
    assert [row["max_f"] for row in scores] == ["nan"] * 3
    errors = [float(row["mae"]) for row in scores]
    assert min(errors) < errors[0], errors  # The first is not the best one.
    model = keras.saving.load_model(run.weights("best"), compile=False)
    validation = SaliencyValidation()
    for images, masks in without_objects():
        outputs = {"stage1": model(images)["stage1"].numpy()}
        validation.update(outputs, masks.numpy())
    assert validation.result()["mae"] == pytest.approx(min(errors), abs=1e-5)
    assert "8 of 8 validation images have no object: they count for mae" in caplog.text
    assert "max_f is undefined on this validation set: best.keras is" in caplog.text


def test_the_best_network_is_not_the_last(tmp_path, monkeypatch):
    scores = iter([0.2, 0.9, 0.5])
    result = lambda validation: {"max_f": next(scores), "mae": 0.1}  # noqa: E731
    monkeypatch.setattr(SaliencyValidation, "result", result)
    run = run_of(
        tmp_path / "run", variant="UNet", validation_interval=2, checkpoint_interval=4
    )
    batches = {"read_training": disks.read, "read_validation": disks.read_validation}
    disks.train(run.load_experiment(), run, **batches)
    assert [row["max_f"] for row in rows(run.validation)] == ["0.2", "0.9", "0.5"]
    best, last = (
        {
            v.path: v.numpy()
            for v in keras.saving.load_model(path, compile=False).weights
        }
        for path in (run.weights("best"), run.weights("model"))
    )
    checkpoint = tf.train.load_checkpoint(str(run.checkpoints / "step-4"))
    for path, value in best.items():
        key = f"weights/{path.replace('/', '.S')}/.ATTRIBUTES/VARIABLE_VALUE"
        np.testing.assert_array_equal(value, checkpoint.get_tensor(key), path)
    assert any(not np.array_equal(best[path], last[path]) for path in best)


def test_outputs_that_are_not_numbers_stop_the_run(tmp_path):
    run = run_of(
        tmp_path / "run", variant="UNet", learning_rate=1e30, validation_interval=1
    )
    with pytest.raises(TrainingError, match="outputs are not numbers after step 1"):
        disks.train(
            run.load_experiment(),
            run,
            read_training=disks.read,
            read_validation=disks.read_validation,
        )
    assert not (run.path / "best.keras").exists()


SETTINGS = {
    "variant": "UNet",
    "steps": 20,
    "validation_interval": 2,
    "checkpoint_interval": 2,
    "patience": 3,
    "validation_tfrecords": "somewhere",
    "rate_boundaries": (100,),
}


def train(run, read=disks.read, resume=False):
    disks.train(
        run.load_experiment(),
        run,
        read_training=read,
        read_validation=disks.read_validation,
        resume=resume,
    )


def scored(monkeypatch, *scores):
    """Gives the validations these scores, in order."""
    scores = iter(scores)
    result = lambda self: {"max_f": next(scores), "mae": 0.1}  # noqa: E731
    monkeypatch.setattr(SaliencyValidation, "result", result)


@pytest.mark.slow
def test_a_training_stops_early_like_a_finished_one(tmp_path, monkeypatch, caplog):
    scored(monkeypatch, 0.5, 0.6, 0.4, 0.5, 0.6, 0.9)
    whole = run_of(tmp_path / "whole", **SETTINGS)
    with caplog.at_level(logging.INFO, "absl"):
        train(whole)
    assert "Stopped early after step 10: no improvement in 3 val" in caplog.text
    assert [int(row["step"]) for row in rows(whole.validation)] == [2, 4, 6, 8, 10]
    assert whole.last_step == 10 and whole.recorded()["stopped_early"] == 10
    plain = run_of(tmp_path / "plain", **SETTINGS | {"steps": 10, "patience": 0})
    scored(monkeypatch, *[0.0] * 5)
    train(plain)
    ours, theirs = weights_of(whole), weights_of(plain)
    for path, value in ours.items():
        np.testing.assert_array_equal(value, theirs[path], err_msg=path)

    train(whole, resume=True)  # Nothing is left to do; it is saved again.
    assert whole.last_step == 10 and len(rows(whole.validation)) == 5
    for path, value in weights_of(whole).items():
        np.testing.assert_array_equal(value, ours[path], err_msg=path)


def test_patience_is_resumed(tmp_path, monkeypatch):
    """Interrupted when one validation of three had been without improvement."""
    scored(monkeypatch, 0.5, 0.6, 0.4, 0.5, 0.6, 0.9)
    run = run_of(tmp_path / "run", **SETTINGS)

    def on_step(self, step, logs):
        if step == 7:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(ProgressBar, "on_step", on_step)
        with pytest.raises(TrainingInterrupted) as stop:
            train(run)
    assert stop.value.step == run.last_step == 7
    train(run, resume=True)
    assert run.last_step == 10


@pytest.mark.slow
def test_run_without_patience_can_still_be_resumed(tmp_path):
    """Its checkpoints do not count validations, as those of older versions."""
    run = run_of(tmp_path / "run", **SETTINGS | {"patience": 0})
    with pytest.raises(TrainingInterrupted):
        train(run, stopping_after(3))
    with pytest.raises(PicanetError, match="cannot be resumed"):
        experiment = RunDirectory.load_experiment(run)
        changed = Experiment(**{**vars(experiment), "patience": 3})
        disks.train(changed, run, read_training=disks.read, resume=True)
    train(run, resume=True)
    assert run.last_step == 20


def test_patience_needs_validations():
    with pytest.raises(PicanetError, match="`patience` .*`validation_tfrecords`.*=2"):
        Experiment(patience=2)


def test_many_batches_without_an_object_are_warned_about_once(monkeypatch, caplog):
    monkeypatch.setattr(selection, "WITHOUT_OBJECT", 3)
    watch = ObjectWatch(100, "Check the masks")
    for has_object in (False, False, True, *[False] * 5):
        watch.see(has_object)
    assert caplog.messages == [
        "The batches of the last 3 steps had no object at all, so the network learns "
        "to find nothing. Check the masks"
    ]
    watch = ObjectWatch(2, "")  # a training of fewer steps
    watch.see(False)
    watch.see(False)
    assert len(caplog.messages) == 2


@pytest.mark.parametrize("black", [True, False])
def test_training_on_black_masks_is_warned_about(black, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(selection, "WITHOUT_OBJECT", 4)

    def read(start, share=(0, 1)):
        factor = 0 if black else 1
        return disks.read(start).map(lambda image, mask: (image, factor * mask))

    run = run_of(tmp_path / "run", variant="UNet", steps=5)
    disks.train(run.load_experiment(), run, read_training=read)
    told = "last 4 steps had no object at all, .*Check the masks: .* --invert_masks"
    # TensorFlow may warn of other things.
    messages = [
        record.message
        for record in caplog.records
        if record.name == "absl" and record.levelno >= logging.WARNING
    ]
    assert len(messages) == black, caplog.text
    if black:
        assert re.search(told, messages[0])
