"""Commands and functions in one process: called twice, and as a notebook calls them."""

import csv
import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from PIL import Image

import picanet_tf
from data_pipeline.convert import convert_folders
from picanet_tf.commands import evaluate, export, predict, train
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import read_image, read_mask
from picanet_tf.drawing.cutouts import cut_out
from picanet_tf.layers import precision
from picanet_tf.models.weights import load_keras
from picanet_tf.saliency.losses import STAGE_WEIGHTS
from picanet_tf.serving.saved_model import Loaded

TINY = {"variant": "UNet", "width": 1 / 32, "image_size": 32, "batch_size": 2}
TINY |= {"backbone_weights": "none", "log_interval": 1}


@pytest.fixture(scope="module")
def folder(tiny_network, tmp_path_factory):
    """images/, masks/, the data set records/ of both, and model.keras."""
    folder = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(0)
    for number, name in enumerate("abc"):
        mask = np.zeros((40, 50), np.uint8)
        mask[10:30, 5 + 5 * number : 30] = 255
        photo = rng.integers(0, 156, (40, 50, 3), np.uint8) + mask[..., None] // 3
        for kind, values in (("images", photo), ("masks", mask)):
            (folder / kind).mkdir(exist_ok=True)
            Image.fromarray(values).save(folder / kind / f"{name}.png")
    convert_folders(folder / "images", folder / "masks", folder / "records", name="abc")
    tiny_network("UNet", gain=20).save(folder / "model.keras")
    return folder


@pytest.fixture(autouse=True)
def there(folder, tmp_path, monkeypatch):
    """Works in an empty folder that has the others'."""
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def main():
    """Calls a command's `main` as a script does, as often as it is asked to."""
    before = set(flags.FLAGS)

    def call(command, *words):
        if set(flags.FLAGS) == before:
            command.define_flags()
        flags.FLAGS.unparse_flags()
        rest = flags.FLAGS([command.__name__, *map(str, words)])[1:]
        return command.main(rest)

    yield call
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)
    flags.FLAGS.unparse_flags()


def pictures(folder):
    return {path.name: np.asarray(Image.open(path)) for path in folder.iterdir()}


def expected_maps():
    model = picanet_tf.load_model("model.keras")
    maps = {name: model.predict(f"images/{name}.png") for name in "abc"}
    assert min(saliency.std() for saliency in maps.values()) > 0.01
    return maps


def test_predict_twice(main, tmp_path):
    words = ("images", "--model", "model.keras", "--output")
    assert main(predict, *words, "one") == 0
    assert main(predict, *words, "two") == 0
    one, two = pictures(tmp_path / "one"), pictures(tmp_path / "two")
    assert list(one) == list(two) and len(one) == 3
    for name, saliency in expected_maps().items():
        np.testing.assert_array_equal(one[f"{name}.png"], two[f"{name}.png"])
        assert np.abs(one[f"{name}.png"] - saliency * 255).max() <= 0.51
    # Of the flags of an earlier call nothing is left.
    assert main(predict, *words, "three", "--format", "mask", "--threshold", 0.2) == 0
    assert set(np.unique(pictures(tmp_path / "three")["a.png"])) <= {0, 255}
    assert main(predict, *words, "four") == 0
    np.testing.assert_array_equal(pictures(tmp_path / "four")["a.png"], one["a.png"])


def without_time(report):
    for data in report["datasets"].values():
        for method in data["methods"].values():
            assert method.pop("seconds") > 0
    return report


def test_evaluate_twice(main, tmp_path, capsys):
    words = ("--model", "model.keras", "--tfrecords", "records", "--workers", 0)
    said, reports = [], []
    for name in ("one", "two"):
        assert main(evaluate, *words, "--output", name) == 0
        said.append(capsys.readouterr().out)
        reports.append(json.loads((tmp_path / name / "report.json").read_text()))
    assert said[0] == said[1] and "abc, 3 images" in said[0]
    assert without_time(reports[0]) == without_time(reports[1])


def arrays_of(path):
    network = picanet_tf.load_model(path).network
    return {weight.path: weight.numpy() for weight in network.weights}


@pytest.mark.slow
def test_train_twice(main):
    words = [f"--{name}={value}" for name, value in TINY.items()]
    for run in ("one", "two"):
        code = main(train, "--tfrecords", "records", "--steps", 1, "--run", run, *words)
        assert code == 0
    one, two = arrays_of("one"), arrays_of("two")
    assert list(one) == list(two)
    for path, value in one.items():
        np.testing.assert_array_equal(value, two[path], err_msg=path)
    with pytest.raises(PicanetError, match="one exists already"):
        main(train, "--tfrecords", "records", "--steps", 1, "--run", "one", *words)


@pytest.mark.slow
def test_export_twice(main, capsys):
    for version in (1, 2):
        assert main(export, "--model", "model.keras", "--output", "out") == 0
        said = capsys.readouterr().out
        assert said.startswith(f"out/{version}, compared with the Keras model on 2 ")
    image = np.float32(np.random.default_rng(1).integers(0, 256, (1, 32, 32, 3)))
    one, two = (
        Loaded(f"out/{version}")("serving_default", image=image)["saliency"]
        for version in (1, 2)
    )
    assert one.std() > 0.01
    np.testing.assert_array_equal(one, two)


def test_predict_as_a_function(tmp_path, caplog):
    (tmp_path / "bad.png").write_text("no photo")
    result = picanet_tf.predict(
        ["images", "bad.png"], output="out", model="model.keras"
    )
    assert [path.as_posix() for path in result.written] == [
        f"out/{name}.png" for name in "abc"
    ]
    (error,) = result.failed
    assert str(error) == "bad.png: not an image of a known format"
    assert result.skipped == 0
    for name, saliency in expected_maps().items():
        drawn = pictures(tmp_path / "out")[f"{name}.png"]
        assert np.abs(drawn - saliency * 255).max() <= 0.51

    options = {"output": "out", "model": "model.keras", "resume": True}
    again = picanet_tf.predict("images", **options)
    assert (again.written, again.failed, again.skipped) == ([], [], 3)
    cutout = picanet_tf.predict("images/a.png", model="model.keras", output="more",
                                format="cutout")  # fmt: skip
    (path,) = cutout.written
    image = read_image("images/a.png")
    expected = cut_out(image, expected_maps()["a"])
    np.testing.assert_allclose(np.asarray(Image.open(path)), expected, atol=1)
    for wrong, message in (
        ({"threshold": 2}, "^`threshold` must be 0 to 1. Received: threshold=2$"),
        ({"format": "jpeg"}, "^`format` .*jpeg"),
        ({"output": ""}, "^`output` "),
    ):
        options = {"output": "new", "model": "model.keras", **wrong}
        with pytest.raises(PicanetError, match=message):
            picanet_tf.predict("images", **options)
    with pytest.raises(TypeError, match="colour"):
        picanet_tf.predict("images", output="new", colour="red")
    assert not (tmp_path / "new").exists()


def test_evaluate_as_a_function(capsys):
    shown = []
    report = picanet_tf.evaluate(
        tfrecords=["records"],
        models=["model.keras"],
        predictions=["perfect=masks"],
        workers=0,
        show=shown.append,
    )
    methods = report["datasets"]["abc"]["methods"]
    assert report["datasets"]["abc"]["images"] == 3
    assert methods["perfect"]["max_f"] == pytest.approx(1)
    assert methods["perfect"]["mae"] == 0
    errors = []
    for name, saliency in expected_maps().items():  # stretched to 0..1, as said
        stretched = saliency - saliency.min()
        mask = read_mask(f"masks/{name}.png") / 255
        errors.append(np.abs(stretched / stretched.max() - mask).mean())
    assert methods["model"]["mae"] == pytest.approx(np.mean(errors), abs=1e-5)
    assert len(shown) == 2 and shown[0].startswith("abc, 3 images")
    assert capsys.readouterr().out == ""
    one = picanet_tf.evaluate(
        tfrecords=Path("records"), models="model.keras", workers=0
    )
    scores = one["datasets"]["abc"]["methods"]["model"]
    assert scores["max_f"] == methods["model"]["max_f"]
    with pytest.raises(PicanetError, match="give `tfrecords`, or `masks`"):
        picanet_tf.evaluate(models=["model.keras"])
    with pytest.raises(PicanetError, match="`metrics` must be one of all, fast. Rec"):
        picanet_tf.evaluate(tfrecords="records", metrics="max_f")
    Path("a,b").symlink_to("records")  # Commas are part of a path.
    again = picanet_tf.evaluate(tfrecords="a,b", models="model.keras", workers=0)
    assert again["datasets"]["abc"]["max_f"] == methods["model"]["max_f"]


@pytest.mark.slow
def test_train_as_a_function(tmp_path):
    run = picanet_tf.train(tfrecords="records", steps=2, run="mine", **TINY)
    assert run.path.resolve() == tmp_path / "mine" and run.last_step == 2
    assert run.load_experiment().steps == 2
    with run.metrics.open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    # Of first weights every map is about 0.5: Eq. 9 of cross-entropies of log 2.
    untrained = math.log(2) * sum(STAGE_WEIGHTS.values())
    assert losses == pytest.approx([untrained] * 2, rel=0.05) and losses[0] != losses[1]
    saliency = picanet_tf.load_model(run).predict("images/a.png")
    assert saliency.shape == (40, 50)
    (path,) = picanet_tf.predict("images/a.png", output="maps", model=run).written
    np.testing.assert_allclose(read_mask(path) / 255, saliency, atol=0.51 / 255)
    again = picanet_tf.train(run="mine", resume=True)  # nothing is left to do
    assert again.path.samefile(run.path) and again.last_step == 2
    with pytest.raises(PicanetError, match="^A resumed run keeps .*`steps` was 2"):
        picanet_tf.train(run="mine", resume=True, steps=3)
    with pytest.raises(PicanetError, match="`init_from`: there is no nowhere"):
        picanet_tf.train(tfrecords="records", init_from="nowhere", **TINY)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_train_records_the_resolved_precision(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="absl")
    fast = (True, "the processor has AMX-BF16")
    monkeypatch.setattr(precision, "_has_fast_bfloat16", lambda: fast)
    settings = {"tfrecords": "records", "run": "mine", **TINY}
    run = picanet_tf.train(steps=1, precision="auto", **settings)
    assert "Precision: bfloat16 (the processor has AMX-BF16)" in caplog.messages
    assert run.load_experiment().precision == "mixed_bfloat16"
    network = load_keras(run.weights())
    assert network.config.dtype == "mixed_bfloat16"
    assert {weight.dtype for weight in network.trainable_weights} == {"float32"}

    # The same command on another machine: the run keeps what it began with.
    monkeypatch.setattr(precision, "_has_fast_bfloat16", lambda: (False, "it is old"))
    settings |= {"resume": True, "precision": "auto"}
    assert picanet_tf.train(**settings).load_experiment() == run.load_experiment()
    with pytest.raises(PicanetError, match="`precision` was 'mixed_bfloat16'. To chan"):
        picanet_tf.train(**{**settings, "precision": "float32"})
    other = picanet_tf.train(
        **{**settings, "resume": False, "run": "other", "steps": 1}
    )
    assert other.load_experiment().precision == "float32"


def test_train_computes_in_float32_by_default(monkeypatch):
    monkeypatch.setattr(precision, "_has_fast_bfloat16", lambda: (True, "it is new"))
    run = picanet_tf.train(tfrecords="records", steps=1, run="mine", **TINY)
    assert run.load_experiment().precision == "float32"
    assert load_keras(run.weights()).config.dtype == "float32"


@pytest.mark.parametrize("fast", ["bfloat16", "float32"])
def test_predict_and_evaluate_use_the_fast_precision(
    main, tmp_path, monkeypatch, caplog, fast
):
    """By default, and in what is asked for otherwise; the report says which."""
    caplog.set_level(logging.INFO, logger="absl")
    monkeypatch.setattr(
        precision, "_has_fast_bfloat16", lambda: (fast == "bfloat16", "of its kind")
    )
    (path,) = picanet_tf.predict(
        "images/a.png", output="auto", model="model.keras"
    ).written
    assert f"Precision of model.keras: {fast} (of its kind)" in caplog.messages
    words = ("images/a.png", "--model", "model.keras", "--output", "asked")
    assert main(predict, *words, "--precision", fast) == 0
    assert path.read_bytes() == (tmp_path / "asked" / "a.png").read_bytes()
    data = {"tfrecords": ["records"], "models": ["model.keras"], "workers": 0}
    for given, expected in (({}, fast), ({"precision": "float32"}, "float32")):
        report = picanet_tf.evaluate(**data, **given)
        details = report["datasets"]["abc"]["methods"]["model"]["details"]
        assert details["precision"] == expected


def test_precision_cannot_be_chosen_for_litert(main):
    with pytest.raises(PicanetError, match="`precision` float32 is for the engine ker"):
        main(predict, "images/a.png", "--precision", "float32")
    report = picanet_tf.evaluate(tfrecords=["records"], workers=0)
    (method,) = report["datasets"]["abc"]["methods"].values()
    assert "precision" not in method["details"]


def test_chosen_model_is_logged_each_time(caplog):
    caplog.set_level(logging.INFO, logger="absl")
    for count in (1, 2):
        picanet_tf.load_model()
        told = [line for line in caplog.messages if line.startswith("The model is the")]
        assert len(told) == count
