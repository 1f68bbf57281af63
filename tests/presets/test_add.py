"""Making a preset of a tiny network: what is written, and that it works by its name."""

import functools
import json
import os
import signal

import keras
import numpy as np
import pytest
from absl import flags

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import sha256_of
from picanet_tf.core.images import read_image
from picanet_tf.inference import load_model
from picanet_tf.presets import add, card, find_preset, list_presets, registry
from picanet_tf.presets.arrays import dequantize, quantize, read_arrays
from picanet_tf.presets.samples import sample_photos
from picanet_tf.saliency import build_model
from picanet_tf.tasks import get_task
from picanet_tf.training.run_directory import RunDirectory
from tests.presets import entries
from tests.presets.file_server import Served, serving
from tests.training import disks

VARIANT = "6GAP_5432LAP"


def made(variant):
    keras.utils.set_random_seed(5)
    model = build_model(variant, 32, width=1 / 32)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if "norm" in variable.path and not variable.path.endswith("collected_weight"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif variable.path.endswith("kernel"):
            # Untouched ones would give 0.5 everywhere.
            variable.assign(variable * (100 if "stage1" in variable.path else 5))
    return model


@pytest.fixture(scope="module")
def network():
    return made(VARIANT)


@pytest.fixture(scope="module")
def plain():
    """One that is quick to convert."""
    return made("UNet")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to work in; the presets are in `shelf`."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setattr(registry, "FOLDER", folder)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "facts.json").write_text(json.dumps(entries.CARD))
    yield tmp_path
    registry._read.cache_clear()


@pytest.fixture
def run(monkeypatch, place):
    """Runs the command with flags of its own, which no other test sees."""

    def run(*words):
        own = flags.FlagValues()
        with monkeypatch.context() as patch:
            for name in ("string", "integer", "multi_string", "bool"):
                define = getattr(flags, f"DEFINE_{name}")
                patch.setattr(
                    flags, f"DEFINE_{name}", functools.partial(define, flag_values=own)
                )
            patch.setattr(add, "FLAGS", own)
            patch.setattr(flags, "FLAGS", own)
            add.define_flags()
            registry._read.cache_clear()  # Each command is a process of its own.
            code = add.main(own(["add", *map(str, words)])[1:])
            registry._read.cache_clear()
        return code

    return run


def shelf(place):
    return sorted(path.name for path in (place / "shelf").iterdir())


FACTS = ("--facts", "facts.json")
FOUR = ["tiny.json", "tiny.md", "tiny.npz", "tiny.tflite"]


def of(network):
    return {variable.path: variable.numpy() for variable in network.weights}


def check_works(network, variant):
    """The preset `tiny` is the network, but for the rounding of its kernels."""
    preset = find_preset("tiny")
    assert (preset.variant, preset.image_size, preset.width) == (variant, 32, 1 / 32)
    ours, expected = of(build_model(weights="tiny")), of(network)
    stored = dequantize(quantize(expected))
    assert ours.keys() == expected.keys()
    for path in expected:
        np.testing.assert_array_equal(ours[path], stored[path], err_msg=path)
    photo = read_image(sample_photos()[0])
    by_keras = load_model("tiny", engine="keras").predict(photo)
    by_litert = load_model("tiny").predict(photo)
    assert by_keras.shape == by_litert.shape == photo.shape[:2]
    assert by_keras.std() > 0.02
    assert np.abs(by_keras - by_litert).mean() < 0.01


@pytest.mark.slow
def test_preset_is_made_of_a_keras_file(network, place, run, capsys):
    network.save("model.keras")
    assert run("model.keras", "tiny", *FACTS) == 0
    assert shelf(place) == FOUR
    check_works(network, VARIANT)
    entry = json.loads((place / "shelf" / "tiny.json").read_text())
    assert entry["card"] == entries.CARD and entry["task"] == "saliency"
    assert entry["default"] is False
    for kind, name in (("litert", "tiny.tflite"), ("weights", "tiny.npz")):
        path = place / "shelf" / name
        assert entry["files"][kind] == entries.file(name, path.read_bytes())
    shown = (place / "shelf" / "tiny.md").read_text()
    assert shown == card.markdown(entry) and shown.startswith("# tiny\n\nFinds nothing")
    assert "tiny.tflite: 0." in capsys.readouterr().out


@pytest.mark.slow
def test_presets_of_a_run_and_of_its_arrays_are_equal(plain, place, run):
    experiment = disks.experiment(variant="UNet")
    plain.save(RunDirectory.create(experiment, "a-run").path / "model.keras")
    assert run("a-run", "tiny", *FACTS, "--default") == 0
    assert find_preset("tiny").default
    check_works(plain, "UNet")
    from_run = sha256_of("shelf/tiny.tflite")
    np.savez("arrays.npz", **of(plain))
    again = ("arrays.npz", "tiny", "--variant", "UNet", "--image_size", 32)
    with pytest.raises(PicanetError, match="The preset tiny exists: give `replace`"):
        run(*again)
    assert run(*again, "--replace") == 0
    assert find_preset("tiny").default and find_preset("tiny").card == entries.CARD
    assert shelf(place) == FOUR
    assert sha256_of("shelf/tiny.tflite") == from_run
    # And of a preset, which is quantised already, the same weights once more.
    assert run("tiny", "other", *FACTS) == 0
    ours, theirs = read_arrays("shelf/other.npz"), read_arrays("shelf/tiny.npz")
    for path in theirs:
        np.testing.assert_array_equal(ours[path], theirs[path], err_msg=path)


def test_ctrl_c_among_the_files_leaves_a_whole_preset(plain, place, run, monkeypatch):
    move, moved = add.move_into_place, []

    def interrupted(source, target):
        move(source, target)
        moved.append(target.name)
        if len(moved) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(add, "move_into_place", interrupted)
    np.savez("arrays.npz", **of(plain))
    with pytest.raises(KeyboardInterrupt):
        run("arrays.npz", "tiny", "--variant", "UNet", "--image_size", 32, *FACTS)
    assert len(moved) == 2 and shelf(place) == FOUR
    registry._read.cache_clear()
    check_works(plain, "UNet")


def test_missing_collected_weights_are_filled_in(plain, place, run):
    arrays = of(plain)
    counts = [path for path in arrays if path.endswith("collected_weight")]
    assert counts
    rest = {path: value for path, value in arrays.items() if path not in counts}
    np.savez("arrays.npz", **rest)
    words = ("arrays.npz", "tiny", "--variant", "UNet", "--image_size", 32, *FACTS)
    assert run(*words) == 0
    stored = read_arrays("shelf/tiny.npz")
    assert [stored[path] for path in counts] == [20.0] * len(counts)


def test_files_can_be_published_at_a_url(plain, place, run, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(place / "keras"))
    plain.save("model.keras")
    with serving(Served(b"")) as served:
        base = served.url.removesuffix("/file.bin")
        words = ("model.keras", "tiny", *FACTS, "--url", f"{base}/", "--output", "up")
        assert run(*words) == 0
        assert shelf(place) == ["tiny.json", "tiny.md"]
        assert sorted(p.name for p in (place / "up").iterdir()) == FOUR[2:]
        file = find_preset("tiny").files["litert"]
        assert file.url == f"{base}/tiny.tflite"
        served.content = (place / "up" / "tiny.tflite").read_bytes()
        image = np.full([20, 30, 3], 99, np.uint8)
        assert load_model("tiny").predict(image).shape == (20, 30)
    assert (place / "keras" / "picanet_tf" / "tiny.tflite").is_file()


def test_existing_files_are_not_overwritten(plain, place, run):
    """Above all those of the trained network itself."""
    (place / "up").mkdir()
    np.savez("up/tiny.npz", **of(plain))
    before = sha256_of("up/tiny.npz")
    words = ("tiny", "--variant", "UNet", "--image_size", 32, *FACTS)
    there = ("--url", "http://localhost/", "--output", "up")
    for more in ((), ("--replace",)):
        with pytest.raises(PicanetError, match="^up/tiny.npz would be overwritten"):
            run("up/tiny.npz", *words, *there, *more)
    (place / "up" / "tiny.npz").rename("arrays.npz")
    (place / "up" / "tiny.tflite").write_text("mine")
    with pytest.raises(PicanetError, match="^up/tiny.tflite exists: give `replace`"):
        run("arrays.npz", *words, *there)
    assert (place / "up" / "tiny.tflite").read_text() == "mine"
    assert shelf(place) == [] and sha256_of("arrays.npz") == before


def test_incompatible_image_size_is_refused(network, place, run):
    network.save("model.keras")
    with pytest.raises(PicanetError, match="cannot run at 64, .* different grid"):
        run("model.keras", "tiny", *FACTS, "--image_size", 64)
    assert shelf(place) == []


def test_new_default_replaces_the_old_one(plain, place, run):
    """The new one; the old one's entry keeps all else."""
    entries.write(place / "shelf", entries.entry("aaa", default=True))
    plain.save("model.keras")
    assert run("model.keras", "tiny", *FACTS, "--default") == 0
    assert {p.name: p.default for p in list_presets().values()} == {
        "tiny": True,
        "aaa": False,
    }
    old = json.loads((place / "shelf" / "aaa.json").read_text())
    assert old == entries.entry("aaa", default=False)


def test_scores_are_taken_from_a_report(plain, place, run):
    plain.save("model.keras")
    report = {
        "datasets": {"ECSSD": {"images": 1000, "max_f": 0.9, "mae": 0.05, "x": 1}}
    }
    (place / "report.json").write_text(json.dumps(report))
    assert run("model.keras", "tiny", *FACTS, "--scores", "report.json") == 0
    (row,) = find_preset("tiny").card["scores"]
    assert row == {
        "set": "ECSSD",
        "images": 1000,
        "max_f": 0.9,
        "mae": 0.05,
        "scored_by": "evaluate.py",
    }
    shown = (place / "shelf" / "tiny.md").read_text()
    assert "| ECSSD | 1,000 | 0.900 | 0.050 | evaluate.py |" in shown


def test_weights_that_are_not_finite_are_refused(plain, place, run):
    arrays = of(plain)
    arrays["fc7/kernel"] = np.full_like(arrays["fc7/kernel"], np.nan)
    np.savez("arrays.npz", **arrays)
    words = ("arrays.npz", "tiny", "--variant", "UNet", "--image_size", 32)
    with pytest.raises(
        PicanetError, match="^fc7/kernel has values that are not finite"
    ):
        run(*words, *FACTS)
    assert shelf(place) == []


WRITTEN = {
    "words.json": '"words"',
    "broken.json": "{",
    "few.json": '{"summary": "a"}',
    "more.json": json.dumps({**entries.CARD, "colour": "red"}),
    "score.json": json.dumps({**entries.CARD, "scores": [{"set": "a"}]}),
    "row.json": json.dumps({**entries.CARD, "scores": [3]}),
    "null.json": json.dumps({**entries.CARD, "scores": None}),
    "report.json": json.dumps({"datasets": {"a": {"miou": 1}}}),
    "nan.json": json.dumps({"datasets": {"a": {"images": 1, "max_f": None, "mae": 0}}}),
    "file.tflite": "text",
    "text.npz": "text",
}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a", r"^expected RUN_OR_WEIGHTS NAME. Received: \['a'\]"),
        ("a b c", "^expected RUN_OR_WEIGHTS NAME. Received"),
        ("a ../b --facts facts.json", "NAME must be letters, .*Received: '../b'"),
        ("a b/c --facts facts.json", "NAME must be letters"),
        ("a hed --facts facts.json", "NAME may not be imagenet, hed, none"),
        ("a b --facts facts.json --url http://x", "`url` and `output` go together"),
        ("a b --facts facts.json --output up", "`url` and `output` go together"),
        ("a b", "^`facts` must give summary, terms, .*Missing: summary, terms"),
        ("a b --facts gone.json", "^Cannot read gone.json: No such file"),
        ("a b --facts words.json", "words.json must hold a JSON object"),
        ("a b --facts broken.json", "broken.json is not JSON"),
        ("a b --facts few.json", "`facts` few.json must give .*Missing: terms"),
        ("a b --facts more.json", "more.json has unknown entries: colour"),
        (
            "a b --facts score.json",
            "each of the scores must have set, images, max_f, mae",
        ),
        ("a b --facts row.json", "each of the scores must have .*Received: 3"),
        ("a b --facts null.json", "scores must be a list. Received: None"),
        ("a b --facts facts.json --scores report.json", "report.json is not a report"),
        (
            "a b --facts facts.json --scores nan.json",
            "max_f of a score is of the wrong",
        ),
        ("a b --facts facts.json", "there is no a: neither a run directory nor a file"),
        ("a.keras b --facts facts.json", "there is no model file a.keras"),
        ("file.tflite b --facts facts.json", "a LiteRT file can only be used for"),
        ("text.npz b --facts facts.json", "^`variant` is missing: an .npz does not"),
        ("text.npz b --facts facts.json --variant UNet", "read the weights text.npz"),
        (
            "a.npz b --facts facts.json --variant UNet",
            "read the weights a.npz: No such",
        ),
        ("a.keras b --facts facts.json --variant UNet", "`variant` goes with an .npz"),
        ("ok.npz b --facts facts.json --variant 7GAP --image_size 32", "variant.*7GAP"),
        (
            "ok.npz b --facts facts.json --variant UNet --image_size 32",
            "have no variable in common",
        ),
        ("ok.npz b --facts facts.json --variant 6GAP --image_size 33", "multiple of 8"),
    ],
)
def test_invalid_arguments_are_reported_and_leave_nothing(place, run, words, message):
    for name, content in WRITTEN.items():
        (place / name).write_text(content)
    np.savez(place / "ok.npz", a=np.zeros([2, 2]))
    with pytest.raises(PicanetError, match=message) as raised:
        run(*words.split())
    assert "\n" not in str(raised.value)
    assert shelf(place) == [] and not (place / "up").exists()


def test_arrays_of_another_network_are_refused(network, place, run):
    np.savez("arrays.npz", **of(network))
    words = ("arrays.npz", "tiny", "--variant", "6GAP_5432AC", "--image_size", 32)
    with pytest.raises(PicanetError, match="^arrays.npz is not a 6GAP_5432AC: "):
        run(*words, *FACTS)
    assert shelf(place) == []


def test_network_of_another_task_is_refused(place, run):
    network = get_task("segmentation").build_model("DeepLab", 64, width=1 / 32)
    network.save("model.keras")
    with pytest.raises(
        PicanetError, match="model.keras is for segmentation; presets are"
    ):
        run("model.keras", "tiny", *FACTS)
    assert shelf(place) == []
