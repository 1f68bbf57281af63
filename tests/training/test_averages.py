"""Exponential moving averages of the weights, and the clipping of gradients."""

import keras
import numpy as np
import pytest

from picanet_tf.training.averages import Averages
from picanet_tf.training.errors import TrainingInterrupted
from picanet_tf.training.run_directory import RunDirectory
from picanet_tf.training.trainer import Batches, Trainer
from tests.training import disks
from tests.training.test_trainer import assert_same, stopping_after, weights_of


def run_of(folder, **changes):
    experiment = disks.experiment(variant="UNet", dropout=0.0, **changes)
    return RunDirectory.create(experiment, str(folder))


def train(run, read=disks.read, read_validation=None, **options):
    """Trains; the trainer, whose network has the weights after the last step."""
    batches = Batches(read, read_validation)
    trainer = Trainer(run.load_experiment(), run, batches, **options)
    trainer.train()
    return trainer


def last_weights(trainer):
    return {v.path: v.numpy() for v in trainer.learner.model.weights}


def test_averages_are_exponential():
    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD()
    optimizer.build(model.trainable_variables)
    expected = model.layers[0].kernel.numpy().astype(np.float64)
    averages = Averages(model, optimizer, decay=0.5)
    for step in range(1, 12):
        optimizer.iterations.assign(step)
        model.layers[0].kernel.assign([[step], [step**2]])
        averages.update()
        decay = min(0.5, (1 + step) / (10 + step))
        values = np.array([[step], [step**2]])
        expected = decay * expected + (1 - decay) * values
    with averages.swapped():
        np.testing.assert_allclose(model.layers[0].kernel, expected, rtol=1e-6)
    assert model.layers[0].kernel.numpy().tolist() == [[11], [121]]


def test_weights_come_back_after_an_error():
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD()
    optimizer.build(model.trainable_variables)
    averages = Averages(model, optimizer, decay=0.5)
    model.layers[0].kernel.assign([[7.0]])
    with pytest.raises(KeyError), averages.swapped():
        raise KeyError
    assert model.layers[0].kernel.numpy().tolist() == [[7.0]]


def test_saved_networks_have_the_averages(tmp_path, monkeypatch):
    plain = run_of(tmp_path / "plain")
    train(plain)
    weights = []
    take_step = Trainer._take_step

    def recorded(self, *arguments):
        model = self.learner.model
        if not weights:
            weights.append([v.numpy() for v in model.trainable_variables])
        stopped = take_step(self, *arguments)
        weights.append([v.numpy() for v in model.trainable_variables])
        return stopped

    monkeypatch.setattr(Trainer, "_take_step", recorded)
    averaged = run_of(tmp_path / "averaged", ema_decay=0.9, validation_interval=6)
    trainer = train(averaged, read_validation=disks.read_validation)
    last = weights_of(plain)
    assert_same(last_weights(trainer), last)  # The training itself is the same.

    expected = weights[0]
    for step, values in enumerate(weights[1:], 1):
        decay = min(0.9, (1 + step) / (10 + step))
        pairs = zip(expected, values, strict=True)
        expected = [decay * old + (1 - decay) * new for old, new in pairs]
    paths = [v.path for v in trainer.learner.model.trainable_variables]
    expected = dict(zip(paths, expected, strict=True))
    for which in ("model", "best"):
        saved = weights_of(averaged, which)
        for path, value in saved.items():  # The rest: statistics of the norms.
            wanted = expected.get(path, last[path])
            np.testing.assert_allclose(value, wanted, 1e-5, 1e-7, err_msg=path)


@pytest.mark.slow
def test_a_resumed_run_has_the_same_averages(tmp_path):
    whole, pieces = (run_of(tmp_path / name, ema_decay=0.9) for name in ("a", "b"))
    train(whole)
    with pytest.raises(TrainingInterrupted):
        train(pieces, stopping_after(4))
    train(pieces, resume=True)
    assert_same(weights_of(pieces), weights_of(whole), rtol=0, atol=0)


def step_lengths(folder, **changes):
    """Norm of a step of plain gradient descent over the learning rate."""
    plain = {"steps": 1, "momentum": 0.0, "weight_decay": 0.0, "learning_rate": 1e-3}
    run = run_of(folder, **plain, **changes)
    before = {}

    class Watched(Trainer):
        def _take_steps(self, *arguments):
            before.update(last_weights(self))
            super()._take_steps(*arguments)

    trainer = Watched(run.load_experiment(), run, Batches(disks.read))
    trainer.train()
    squares = 0.0
    for variable in trainer.learner.model.trainable_variables:
        twice = variable.path.endswith(("bias", "beta"))  # these have twice the rate
        change = variable.numpy() - before[variable.path]
        squares += np.sum((change / (2 if twice else 1)) ** 2, dtype=np.float64)
    return float(np.sqrt(squares)) / 1e-3


@pytest.mark.parametrize(
    "precision",
    ["float32", pytest.param("mixed_float16", marks=pytest.mark.slow)],
)
def test_gradients_are_clipped_together(tmp_path, precision):
    free = step_lengths(tmp_path / "free", precision=precision)
    loose = step_lengths(tmp_path / "loose", precision=precision, clip_norm=2 * free)
    assert free > 0.5 and loose == pytest.approx(free, rel=1e-3)
    tight = step_lengths(tmp_path / "tight", precision=precision, clip_norm=free / 4)
    assert tight == pytest.approx(free / 4, rel=2e-3)
