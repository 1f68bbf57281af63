"""What a training starts from when it starts from a preset."""

import functools

import keras
import numpy as np
import pytest

from picanet_tf.backbones.vgg16_weights import CONV_LAYERS, FC_LAYERS, WeightsError
from picanet_tf.core.errors import PicanetError
from picanet_tf.models.weights import assign_weights
from picanet_tf.presets import find_preset, registry
from picanet_tf.presets.arrays import quantize, read_arrays
from picanet_tf.saliency import build_model
from picanet_tf.tasks import get_task
from picanet_tf.training import initialization
from picanet_tf.training.cluster import ALONE
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.initialization import (
    build,
    load_initial_weights,
    make_optimizer,
)
from picanet_tf.training.run import new_experiment
from picanet_tf.training.run_directory import RunDirectory
from tests.presets import entries
from tests.training import disks
from tests.training.disks import train

VARIANT = "6GAP_5AC"


@pytest.fixture
def preset(tmp_path, monkeypatch):
    """A preset of the tiny network that the trainings here are of."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setattr(registry, "FOLDER", folder)
    keras.utils.set_random_seed(8)
    network = build_model(VARIANT, 32, width=1 / 32)
    arrays = {variable.path: variable.numpy() for variable in network.weights}
    np.savez(folder / "tiny.npz", **quantize(arrays))
    content = (folder / "tiny.npz").read_bytes()
    files = {"weights": entries.file("tiny.npz", content)}
    entries.write(folder, entries.entry(files=files, variant=VARIANT))
    return find_preset("tiny")


def loaded(preset, **changes):
    """(the network, what of the encoder is pretrained, the preset's arrays)."""
    experiment = disks.experiment(**changes)
    model = build(get_task("saliency"), experiment)
    before = {variable.path: variable.numpy() for variable in model.weights}
    pretrained = load_initial_weights(model, experiment, preset)
    return model, pretrained, read_arrays(preset.path("weights")), before


def test_the_same_network_gets_all_weights(preset, caplog):
    model, pretrained, arrays, _ = loaded(preset)
    assert not any(record.levelname == "WARNING" for record in caplog.records)
    assert pretrained == CONV_LAYERS + FC_LAYERS
    assert arrays.keys() == {variable.path for variable in model.weights}
    for variable in model.weights:
        np.testing.assert_array_equal(variable.numpy(), arrays[variable.path])


def test_weights_of_another_variant_that_fit_are_loaded(preset, caplog):
    model, pretrained, arrays, before = loaded(preset, variant="6GAP_54LAP")
    (warned,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert "missing from the source: d4_" in warned and "start at random" in warned
    assert pretrained == CONV_LAYERS + FC_LAYERS
    layer = lambda path: path.rpartition("/")[0]  # noqa: E731
    torn = {
        layer(variable.path)
        for variable in model.weights
        if variable.path not in arrays or arrays[variable.path].shape != variable.shape
    }
    fits = {path for path in arrays if layer(path) not in torn}
    taken, fresh = [], []
    for variable in model.weights:
        value, path = variable.numpy(), variable.path
        if path in fits:
            taken.append(path)
            np.testing.assert_array_equal(value, arrays[path])
        else:
            fresh.append(path)
            np.testing.assert_array_equal(value, before[path])
    assert any(path.startswith("d6") for path in taken)
    assert fresh and len(taken) > len(fresh)


def test_weights_that_do_not_fit_at_all_are_an_error(preset):
    with pytest.raises(
        PicanetError,
        match="`init_from` tiny: No weights of the preset tiny fit .*: the shapes of "
        r".*_conv1/kernel with \(3, 3, 3, 2\) there and \(3, 3, 3, 8\) here. This "
        "network has `width` 0.125 and `variant` 6GAP_5AC",
    ):
        experiment = disks.experiment(width=1 / 8, init_from="tiny")
        model = build(get_task("saliency"), experiment)
        load_initial_weights(model, experiment, preset)


def test_a_norm_is_taken_whole_or_not_at_all(preset):
    """Its `collected_weight` fits any norm, but counts the other one's batches."""
    model, _, arrays, before = loaded(preset, image_size=16)
    norm = "d6_gap/norm/"
    assert arrays[norm + "gamma"].shape == (16,)  # a grid of 4x4, here one of 2x2
    names = ("gamma", "beta", "moving_mean", "moving_variance", "collected_weight")
    arrays[norm + "collected_weight"] += 19.9
    model = build(get_task("saliency"), disks.experiment(image_size=16))
    assign = functools.partial(
        assign_weights, arrays, model, "tiny", partial=True, whole_layers=True
    )
    transfer = assign()
    ours = {variable.path: variable.numpy() for variable in model.weights}
    for name in names:
        assert norm + name not in transfer.loaded
        assert ours[norm + name].shape == before[norm + name].shape
    assert ours[norm + "collected_weight"] == 0
    assert norm + "collected_weight" in transfer.left_out
    assert "rest of its layer does not fit: d6_gap/norm/coll" in str(transfer)
    assert {f"d6_encoder_norm/{name}" for name in names} <= set(transfer.loaded)


def test_encoder_of_a_preset_can_be_frozen(preset):
    experiment = disks.experiment(freeze_encoder=True, init_from="tiny")
    model = build(get_task("saliency"), experiment)
    pretrained = load_initial_weights(model, experiment, preset)
    make_optimizer(model, experiment, pretrained)
    trained = {variable.path.split("/")[0] for variable in model.trainable_variables}
    assert trained and not trained & {*CONV_LAYERS, *FC_LAYERS}


def test_damaged_preset_is_reported(preset):
    (preset.folder / "tiny.npz").write_bytes(b"damaged")
    with pytest.raises(PicanetError, match="tiny.npz of the preset tiny is damaged"):
        loaded(preset)


def test_preset_is_refused_as_backbone_weights(preset):
    experiment = disks.experiment(backbone_weights="tiny")
    model = build(get_task("saliency"), experiment)
    with pytest.raises(
        WeightsError, match="'tiny' is a preset, .*train.py --init_from"
    ):
        load_initial_weights(model, experiment, None)


@pytest.mark.slow
def test_training_starts_from_a_preset(preset, tmp_path):
    """Begins at its weights, and leaves a run like any other."""
    experiment = disks.experiment(steps=1, checkpoint_interval=1, learning_rate=1e-6)
    run = RunDirectory.create(experiment, str(tmp_path / "run"))
    train(experiment, run, read_training=disks.read, init_from=preset)
    model = keras.saving.load_model(run.weights(), compile=False)
    arrays = read_arrays(preset.path("weights"))
    for variable in model.weights:
        if variable.path.endswith("kernel"):
            expected = arrays[variable.path]
            np.testing.assert_allclose(variable.numpy(), expected, atol=1e-3)
            assert np.abs(expected).max() > 5e-3


def test_a_run_sets_the_variant_unless_it_is_given(tmp_path):
    """As a preset does; a run of another task, or a file, does not."""
    RunDirectory.create(disks.experiment(variant="6GAP_5AC"), str(tmp_path / "old"))
    settings = {"tfrecords": "x", "init_from": str(tmp_path / "old")}
    assert new_experiment(settings, "", ALONE).variant == "6GAP_5AC"
    assert new_experiment({**settings, "variant": "UNet"}, "", ALONE).variant == "UNet"
    other = {**settings, "task": "segmentation"}
    assert new_experiment(other, "", ALONE).variant == "6GAP_543LAP"
    file = {**settings, "init_from": "x.keras"}
    assert new_experiment(file, "", ALONE).variant == "6GAP_5432AC"


def test_imagenet_at_another_width_is_refused_before_the_download(monkeypatch):
    monkeypatch.setattr(initialization, "load_vgg16_weights", pytest.fail)
    experiment = Experiment(width=1 / 32, image_size=32, backbone_weights="imagenet")
    with pytest.raises(PicanetError, match="fit `width` 1 only: give `backbone_weigh"):
        load_initial_weights(None, experiment, None)


def test_branches_of_deeplab_belong_to_the_encoder(tiny_network, tmp_path):
    """What is loaded of their fc6 and fc7; fc7 of a context is new."""
    path = tmp_path / "deeplab.keras"
    tiny_network("DeepLab_LAP", "segmentation").save(path)
    experiment = Experiment.of(
        "segmentation", variant="DeepLab_LAP", image_size=64, width=1 / 32,
        init_from=str(path), freeze_encoder=True,
    )  # fmt: skip
    model = build(get_task("segmentation"), experiment)
    pretrained = load_initial_weights(model, experiment, path)
    branches = {f"fc{n}_{rate}" for n in (6, 7) for rate in (6, 12, 18, 24)}
    assert set(pretrained) == {*CONV_LAYERS, *branches}
    make_optimizer(model, experiment, pretrained)
    trained = {variable.path.split("/")[0] for variable in model.trainable_variables}
    assert "fc7_6_context" in trained and not trained & set(pretrained)
