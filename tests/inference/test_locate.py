"""What `--model` means, and how invalid values are reported."""

import json
import logging

import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.inference import locate
from picanet_tf.inference.locate import Located
from picanet_tf.presets import registry
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.run_directory import RunDirectory
from tests.presets import entries


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty folder to work in, with one preset, `tiny`, in `shelf`."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setattr(registry, "FOLDER", shelf)
    monkeypatch.chdir(tmp_path)
    files = {
        "litert": entries.file("tiny.tflite", b"litert"),
        "weights": entries.file("tiny.npz", b"weights"),
    }
    for file, content in zip(files.values(), (b"litert", b"weights"), strict=True):
        (shelf / file["name"]).write_bytes(content)
    entries.write(shelf, entries.entry(files=files, default=True))
    return tmp_path


@pytest.fixture
def said(caplog):
    """Returns the messages of the log when called."""
    caplog.set_level(logging.INFO, logger="absl")
    return lambda: caplog.messages


def run_at(path="", *, step=10, model=True, **changes):
    """A run of 10 steps that got as far as `step`; by default it is the latest."""
    run = RunDirectory.create(Experiment(steps=10, **changes), str(path))
    if step:
        run.checkpoints.mkdir()
        (run.checkpoints / f"step-{step}.index").write_text("")
    if model:
        (run.path / "model.keras").write_text("the network")
    return run


def test_default_preset_is_chosen_without_runs(said):
    found = locate()
    assert (found.name, found.kind) == ("tiny", "preset")
    assert said() == ["The model is the preset tiny (there is no runs/latest)"]


def test_finished_latest_run_takes_precedence(place, said):
    run = run_at()
    found = locate()
    assert (found.name, found.kind) == ("runs/latest", "run")
    assert found.keras == run.path.resolve() / "model.keras" == found.file()
    assert found.run.load_experiment().steps == 10 and found.preset is None
    assert said() == ["The model is runs/latest (a finished saliency network)"]


def test_a_run_that_stopped_early_is_finished(said):
    run_at(step=4).record(stopped_early=4)
    assert locate().name == "runs/latest"
    run_at(step=4).record(stopped_early=5)  # killed before it had saved step 5
    assert locate().kind == "preset"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"step": 0, "model": False}, "is not finished, step 0 of 10: name it to use"),
        ({"step": 4}, "runs/latest is not finished, step 4 of 10: name it to use it"),
        ({"step": 10, "model": False}, "runs/latest has no model.keras"),
        ({"task": "detection", "variant": "SSD300"}, "is for detection: name it to"),
    ],
)
def test_unsuitable_latest_run_is_logged(options, reason, said):
    run_at(**options)
    assert locate().kind == "preset"
    (line,) = said()
    assert line.startswith("The model is the preset tiny (runs/latest ")
    assert reason in line


def test_unreadable_latest_run_is_logged(place, said):
    run = run_at()
    run.experiment.write_text("{")
    assert locate().kind == "preset"
    assert (
        "runs/latest cannot be read: " in said()[0] and "experiment.json" in said()[0]
    )
    run.experiment.unlink()
    assert locate().kind == "preset"
    (place / "runs" / "latest").unlink()
    (place / "runs" / "latest").symlink_to("gone")
    assert locate().kind == "preset"
    assert "cannot be read: There is no run directory runs/latest" in said()[2]


def test_missing_default_preset_is_an_error(place):
    entries.write(place / "shelf", entries.entry("tiny"))
    registry._read.cache_clear()
    with pytest.raises(PicanetError, match="There is no default preset: give a"):
        locate()


def test_unfinished_runs_may_be_named(place):
    run = run_at(place / "mine", step=4)
    (run.path / "best.keras").write_text("the best")
    for word in ("mine", "mine/", "./mine", place / "mine"):
        found = locate(word)
        assert found.kind == "run" and str(found) == str(word)
        assert found.file().read_text() == "the network"
        assert locate(word, "best").file("keras").read_text() == "the best"
        assert found.has_network and not found.has_litert
    run_at(step=4)
    assert locate("runs/latest").kind == "run"


def test_preset_is_located_by_name(place):
    found = locate("tiny")
    assert found.kind == "preset" and str(found) == "the preset tiny"
    assert found.has_litert and found.has_network
    assert found.keras is None and found.litert is None
    assert found.file() == found.file("litert") == place / "shelf" / "tiny.tflite"
    assert found.file("keras") == place / "shelf" / "tiny.npz"
    assert {found: 1}[found] == 1  # evaluate.py keeps models by what was located
    # A path reaches a folder of the same name.
    run_at(place / "tiny")
    assert locate("tiny").kind == "preset" and locate("./tiny").kind == "run"


def test_preset_without_a_litert_file_is_located(place):
    files = {"weights": entries.file("tiny.npz", b"weights")}
    entries.write(place / "shelf", entries.entry("bare", files=files))
    (found := locate("bare")).file()
    assert not found.has_litert and found.has_network
    assert found.file("keras") == found.file() == place / "shelf" / "tiny.npz"


def test_preset_without_weights_is_refused(place):
    entries.write(place / "shelf", entries.entry("paper"))
    found = locate("paper")
    assert not found.has_litert
    with pytest.raises(
        PicanetError, match="The preset paper has no weights file: only"
    ):
        found.file()


@pytest.mark.parametrize("kind", ["keras", "tflite"])
def test_model_file_is_located_by_path(place, kind):
    path = place / f"model.v2.{kind}"
    path.write_text("")
    for word in (path, str(path), path.name):
        found = locate(word)
        assert found.kind == {"tflite": "litert"}.get(kind, kind)
        assert found.file() == found.file("litert") == type(path)(word)
        assert found.has_litert == (kind == "tflite")
        assert found.has_network == (kind == "keras")
        assert str(found) == found.name == str(word)


def test_version_of_an_export_is_located_by_folder(place):
    folder = place / "export" / "1" / "tflite"
    folder.mkdir(parents=True)
    with pytest.raises(
        PicanetError, match="`model`: the export export/1 has no LiteRT"
    ):
        locate("export/1")
    for name in ("int8", "float32", "float16", "dynamic"):  # each goes before the last
        (folder / f"picanet_{name}.tflite").write_text("")
        found = locate("export/1")
        assert found.kind == "litert" and found.name == "export/1"
        assert found.file().name == f"picanet_{name}.tflite"
    with pytest.raises(PicanetError, match="export holds versions.*as export/1$"):
        locate("export")


PRESETS = "neither a run directory nor a file, nor one of the presets tiny"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nothing", f"`model`: there is no nothing: {PRESETS}"),
        ("tinny", f"`model`: there is no tinny: {PRESETS}"),
        ("", "`model`: an empty name"),
        ("runs/gone", "`model`: There is no run directory runs/gone"),
        ("gone.keras", "`model`: there is no model file gone.keras"),
        ("deep/gone.tflite", "`model`: there is no model file deep/gone.tflite"),
        ("folder.keras", "`model`: there is no model file folder.keras"),
        ("empty", "`model`: empty is not a run directory: no experiment.json"),
        (".", "`model`: . is not a run directory: no experiment.json"),
        ("weights.npz", "`model`: weights.npz is not a model: a file must be .keras"),
        ("new", "The run new has no model.keras: the training has not reached a check"),
    ],
)
def test_values_that_name_no_model_are_rejected(place, word, message):
    for name in ("empty", "folder.keras"):
        (place / name).mkdir()
    (place / "weights.npz").write_text("")
    run_at(place / "new", step=0, model=False)
    with pytest.raises(PicanetError) as raised:
        locate(word)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_errors_name_the_given_argument(place):
    with pytest.raises(PicanetError, match="^`init_from`: there is no x"):
        locate("x", argument="init_from")


def test_weights_can_be_chosen_for_runs_only(place):
    (place / "m.keras").write_text("")
    for word, name in ((None, "the preset tiny"), ("tiny", "the preset tiny")):
        with pytest.raises(PicanetError) as raised:
            locate(word, "best")
        assert str(raised.value) == (
            f"`weights` goes with a run only. Received: weights=best with {name}"
        )
    with pytest.raises(PicanetError, match="Received: weights=model with m.keras"):
        locate("m.keras", "model")
    run_at(place / "mine")
    with pytest.raises(PicanetError, match="no best.keras: it was trained without"):
        locate("mine", "best")
    with pytest.raises(PicanetError, match="'worst'"):
        locate("mine", "worst")


def test_damaged_presets_are_reported(place):
    entries.write(place / "shelf", "{", "other")
    with pytest.raises(PicanetError, match="other.json is not the entry of a preset"):
        locate("tiny")
    # But not where nobody asks for one.
    (place / "m.keras").write_text("")
    assert json.loads((place / "shelf" / "tiny.json").read_text())["default"]
    assert isinstance(locate("m.keras"), Located)
