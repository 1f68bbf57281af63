import keras
import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.training.checkpoints import Checkpoints


def training():
    model = keras.Sequential(
        [
            keras.Input([3]),
            keras.layers.Dense(2, name="dense"),
            keras.layers.Dropout(0.5, seed=1),
        ],
        name="model",
    )
    optimizer = keras.optimizers.SGD(momentum=0.9)
    optimizer.build(model.trainable_variables)
    return model, optimizer


def save_two(folder):
    model, optimizer = training()
    checkpoints = Checkpoints(folder, model, optimizer)
    x = np.ones([1, 3], "float32")
    model(x, training=True)  # moves the dropout's seed
    checkpoints.best = 0.25
    checkpoints.save(5)
    kernel = model.layers[0].kernel.numpy()
    optimizer.apply([np.full([3, 2], 2.0), np.array([3.0, 4.0])])
    checkpoints.save(10)
    return kernel, model, optimizer


def test_whole_state_is_restored(tmp_path):
    kernel, *saved = save_two(tmp_path)
    model, optimizer = training()
    checkpoints = Checkpoints(tmp_path, model, optimizer)
    assert checkpoints.best is None
    assert checkpoints.restore() == 10
    assert checkpoints.best == 0.25
    np.testing.assert_array_equal(model.layers[0].kernel, kernel - 0.02)
    for restored, before in zip((model, optimizer), saved, strict=True):
        for ours, theirs in zip(restored.variables, before.variables, strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    assert int(optimizer.iterations) == 1
    assert np.abs(optimizer.variables[2]).min() > 0  # a velocity


def test_a_broken_checkpoint_falls_back_to_the_one_before(tmp_path):
    kernel, *_ = save_two(tmp_path)
    (broken,) = tmp_path.glob("step-10.data*")
    broken.write_bytes(broken.read_bytes()[:20])
    model, optimizer = training()
    assert Checkpoints(tmp_path, model, optimizer).restore() == 5
    np.testing.assert_array_equal(model.layers[0].kernel, kernel)


def test_resuming_without_checkpoints_is_an_error(tmp_path):
    with pytest.raises(PicanetError, match="the run cannot be resumed"):
        Checkpoints(tmp_path, *training()).restore()


def test_another_network_is_refused(tmp_path):
    save_two(tmp_path)
    model = keras.Sequential(
        [keras.Input([3]), keras.layers.Dense(4, name="dense")], name="model"
    )
    optimizer = keras.optimizers.SGD(momentum=0.9)
    optimizer.build(model.trainable_variables)
    with pytest.raises(PicanetError, match="the run cannot be resumed"):
        Checkpoints(tmp_path, model, optimizer).restore()
