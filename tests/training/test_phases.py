"""Trainings whose input has several sizes."""

import signal

import keras
import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.saliency.validation import SaliencyValidation
from picanet_tf.training.callbacks import ProgressBar
from picanet_tf.training.errors import TrainingInterrupted
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.learner import Learner
from picanet_tf.training.phases import Phase, parse_image_sizes, plan_phases
from picanet_tf.training.run_directory import RunDirectory
from tests.training import disks


@pytest.mark.parametrize(
    "text, steps, expected",
    [
        ("160:0.8,224:0.2", 1000, [(160, 800), (224, 1000)]),
        ("96:0.5, 160:.25, 224:0.25", 10, [(96, 5), (160, 8), (224, 10)]),
        ("160:0.8,224:0.2", 2, [(160, 1), (224, 2)]),
        ("160:0.8,224:0.2", 1, [(224, 1)]),
        ("160:0.99,224:0.01", 40, [(160, 39), (224, 40)]),
        ("224:1", 7, [(224, 7)]),
    ],
)
def test_steps_are_divided_by_the_shares(text, steps, expected):
    assert plan_phases(parse_image_sizes(text), steps) == tuple(
        Phase(*phase) for phase in expected
    )


@pytest.mark.parametrize(
    "text",
    ["160", "160:0.8", "160:0.8,224:0.3", "a:1", "160:1:1", ",", "160:0,224:1", "-8:1"],
)
def test_invalid_image_sizes_are_rejected(text):
    with pytest.raises(
        PicanetError, match="`image_sizes` must be sizes with .*such as"
    ):
        parse_image_sizes(text)


def test_the_last_size_is_the_networks():
    assert Experiment.of(image_sizes="96:0.5,128:0.5").image_size == 128
    with pytest.raises(PicanetError, match="must end with `image_size`.*96:1 and 224"):
        Experiment(image_sizes="96:1")


@pytest.fixture
def sizes():
    """Sizes of the batches that were read, in order."""
    return []


@pytest.fixture
def read(sizes):
    def read(start, share=(0, 1), image_size=None):
        sizes.append((start, image_size))
        return disks.read(start, size=image_size, share=share)

    return read


def slow(stop):
    return pytest.param(stop, marks=pytest.mark.slow)


def run_of(folder, **changes):
    changes = {"image_sizes": "32:0.5,48:0.5", "image_size": 48, **changes}
    experiment = disks.experiment(**{"variant": "UNet", "steps": 6, **changes})
    return RunDirectory.create(experiment, str(folder))


def weights_of(run, which="model"):
    model = keras.saving.load_model(run.weights(which), compile=False)
    return {variable.path: variable.numpy() for variable in model.weights}


def train(run, read, **options):
    disks.train(run.load_experiment(), run, read_training=read, **options)


@pytest.fixture
def interrupt(monkeypatch):
    """Has the next training get a Ctrl-C after a step."""

    def after(stop):
        on_step = ProgressBar.on_step

        def interrupted(self, step, logs):
            on_step(self, step, logs)
            if step == stop:
                monkeypatch.setattr(ProgressBar, "on_step", on_step)
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(ProgressBar, "on_step", interrupted)

    return after


# Before, at and after the switch.
@pytest.mark.parametrize("stop", [slow(2), 3, slow(4)])
def test_a_resumed_run_ends_at_the_same_weights(tmp_path, read, sizes, interrupt, stop):
    whole = run_of(tmp_path / "whole")
    train(whole, read)
    assert sizes == [(0, 32), (0, 32), (0, 48), (3, 48)]  # and those of the panels
    model = keras.saving.load_model(whole.weights("model"), compile=False)
    assert model.image_size == 48

    train(whole, read, resume=True)  # Nothing is left to do; it is saved again.
    again = keras.saving.load_model(whole.weights("model"), compile=False)
    assert again.image_size == 48
    for variable, values in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(variable, values, variable.path)

    pieces = run_of(tmp_path / "pieces")
    interrupt(stop)
    with pytest.raises(TrainingInterrupted, match=f"after step {stop}"):
        train(pieces, read)
    train(pieces, read, resume=True)
    ours, theirs = weights_of(pieces), weights_of(whole)
    assert ours.keys() == theirs.keys()
    for path, values in ours.items():
        np.testing.assert_array_equal(values, theirs[path], path)


def test_sizes_whose_weights_differ_are_refused(tmp_path, read):
    run = RunDirectory.create(
        disks.experiment(variant="6GAP", image_size=96, image_sizes="64:0.5,96:0.5"),
        str(tmp_path / "run"),
    )
    with pytest.raises(PicanetError, match="other weights at 64 pixels than at 96"):
        train(run, read)


@pytest.mark.parametrize("stop", [None, slow(3), slow(4), slow(7)])
def test_the_best_network_has_the_last_size(
    tmp_path, read, interrupt, stop, monkeypatch
):
    """Scores of small images are forgotten at the switch, and not by a resumption."""
    scores = iter([0.9, 0.8, 0.5, 0.4])
    result = lambda validation: {"max_f": next(scores), "mae": 0.1}  # noqa: E731
    monkeypatch.setattr(SaliencyValidation, "result", result)
    # Switches after step 4; step 6 is the best one at 48 pixels.
    intervals = {"validation_interval": 2, "checkpoint_interval": 2}
    run = run_of(tmp_path / "run", steps=8, **intervals)
    read_validation = lambda image_size: disks.read(9, size=image_size).take(1)  # noqa: E731
    if stop:
        interrupt(stop)
        with pytest.raises(TrainingInterrupted):
            train(run, read, read_validation=read_validation)
    train(run, read, read_validation=read_validation, resume=bool(stop))
    best = keras.saving.load_model(run.weights("best"), compile=False)
    assert best.image_size == 48
    six = run_of(tmp_path / "six", steps=8, **intervals)
    interrupt(6)
    with pytest.raises(TrainingInterrupted):
        train(six, read)
    expected = weights_of(six)
    for variable in best.weights:
        np.testing.assert_array_equal(variable, expected[variable.path])


@pytest.mark.parametrize(
    "plan, best",
    [
        ("32:0.25,48:0.25,32:0.5", [32, 48, 32]),  # forgotten at each switch
        ("32:0.25,48:0.25,48:0.5", [32, 48]),  # nothing changes after step 4
    ],
)
@pytest.mark.parametrize("stop", [None, slow(4)])
def test_scores_are_forgotten_where_the_size_changes(
    tmp_path, read, interrupt, stop, monkeypatch, plan, best
):
    """Also by a run that is resumed there, whose first network is of the first size."""
    scores = iter([0.9, 0.8, 0.5, 0.4])
    result = lambda validation: {"max_f": next(scores), "mae": 0.1}  # noqa: E731
    monkeypatch.setattr(SaliencyValidation, "result", result)
    intervals = {"validation_interval": 2, "checkpoint_interval": 2}
    size = parse_image_sizes(plan)[-1][0]
    run = run_of(
        tmp_path / "run", steps=8, image_sizes=plan, image_size=size, **intervals
    )
    read_validation = lambda image_size: disks.read(9, size=image_size).take(1)  # noqa: E731
    saved = []
    save = Learner.save

    def saves(self, path):
        save(self, path)
        if path.name == "best.keras":
            saved.append(self.model.image_size)

    monkeypatch.setattr(Learner, "save", saves)
    if stop:
        interrupt(stop)
        with pytest.raises(TrainingInterrupted):
            train(run, read, read_validation=read_validation)
    train(run, read, read_validation=read_validation, resume=bool(stop))
    assert saved == best


def test_validation_has_the_size_of_the_phase(tmp_path, read):
    validated = []

    def read_validation(image_size):
        validated.append(image_size)
        return disks.read(10**6, size=image_size).take(2)

    run = run_of(tmp_path / "run", validation_interval=2)
    train(run, read, read_validation=read_validation)
    assert validated == [32, 32, 48, 48, 48]  # with those of the panels
