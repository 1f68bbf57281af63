"""`export.py`, as a command: what it writes, says and answers."""

import json
import shutil
import signal
import time

import pytest

from data_pipeline.convert import convert_folders
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.run_directory import RunDirectory
from tests import commands
from tests.data_pipeline.conftest import flip_bit
from tests.serving.networks import encoded, photo, trained_like


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """runs/latest, and a converted data set in data/."""
    folder = tmp_path_factory.mktemp("export")
    run = RunDirectory.create(
        Experiment(variant="6GAP", image_size=32, width=1 / 32), str(folder / "runs/a")
    )
    trained_like("6GAP", image_size=32, width=1 / 32).save(run.path / "model.keras")
    run.checkpoints.mkdir()
    (run.checkpoints / "step-40000.index").touch()
    (folder / "runs" / "latest").symlink_to("a")
    for number in range(3):
        image = photo(seed=number)
        for kind, pixels in (("images", image), ("masks", image[..., 0])):
            path = folder / "own" / kind / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(pixels, "PNG"))
    convert_folders(folder / "own/images", folder / "own/masks", folder / "data")
    manifest = json.loads((folder / "data" / "manifest.json").read_text())
    (folder / "boxes").mkdir()
    (folder / "boxes" / "manifest.json").write_text(
        json.dumps({**manifest, "kind": "sounds"})
    )
    return folder


def export(*words, cwd):
    done = commands.call("export.py", *words, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.slow
def test_latest_run_is_exported_by_default(folder):
    code, output, errors = export(cwd=folder)
    assert code == 0, errors
    first, *lines = output.splitlines()
    assert first.startswith("export/picanet/1, compared with the Keras model on 2 sam")
    assert len(lines) == 1 and "saved_model.pb, variables/" in lines[0]
    assert "MB  differs by " in lines[0]
    assert "serving_default, image_bytes, attention" in lines[0]
    version = folder / "export" / "picanet" / "1"
    card = json.loads((version / "assets" / "model_card.json").read_text())
    assert card["run"] == "a" and card["weights"] == "model"
    assert (version / "assets.extra" / "tf_serving_warmup_requests").is_file()
    for noise in ("Traceback", "Assets written", "gradient", "fingerprint"):
        assert noise not in errors

    code, output, errors = export(
        *("--formats", "tflite,saved_model", "--quantize", "int8,none"),
        *("--calibration_tfrecords", "data", "--model", "runs/a/model.keras"),
        cwd=folder,
    )
    assert code == 0, errors
    first, *lines = output.splitlines()
    # Three photos are too few to set some apart.
    assert first == (
        "export/picanet/2, compared with the Keras model on 2 sample photos, and "
        "brighter and darker copies:"
    )
    assert [line.split()[0] for line in lines] == [
        "tflite/picanet_int8.tflite",
        "tflite/picanet_float32.tflite",
        "saved_model.pb,",
    ]
    assert files(folder / "export" / "picanet")[:2] == ["1", "1/assets"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_export_leaves_nothing(folder, tmp_path, number):
    output = tmp_path / "deep" / "out"
    process = commands.start("export.py", "--output", output, cwd=folder)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("deep/out/.*/*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    errors = process.communicate(timeout=120)[1]
    # SIGTERM ends it by the signal itself, as it ends a conversion.
    code, said = {2: (130, "interrupted"), 15: (-15, "terminated")}[number]
    assert process.returncode == code, errors
    assert errors.endswith(f"export.py: {said}\n")
    assert "Traceback" not in errors
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model nowhere", "--model: there is no nowhere: neither a run directory"),
        ("--model own", "--model: own is not a run directory: no experiment.json"),
        ("--model no.keras", "--model: there is no model file no.keras"),
        ("--weights best", "has no best.keras: it was trained without"),
        (
            "--formats saved_model,coreml",
            "--formats must be some of saved_model,tflite",
        ),
        ("--formats tflite --quantize int4", "--quantize must be some of none,float16"),
        ("--quantize dynamic", "--quantize goes with --formats tflite only"),
        ("--formats tflite --quantize int8", "int8 needs real images to calibrate on"),
        (
            "--calibration_tfrecords nowhere",
            "--calibration_tfrecords: nowhere: no such",
        ),
        ("--calibration_tfrecords own", "own: no manifest.json"),
        (
            "--calibration_tfrecords boxes",
            "boxes/manifest.json: kind must be one of mask, class_map, boxes. "
            "Received: 'sounds'",
        ),
        ("--version 0", "--version must be 1 or more. Received: 0"),
        ("--version 3", "--version: here/3 exists already. Give --overwrite"),
        (
            "--version 2024 --overwrite",
            "--version: here/2024 exists already, and is not an export: it has no "
            "assets/model_card.json. Give another --version or --output",
        ),
        ("--overwrite", "--overwrite goes with --version: without it, the export is"),
        ("--version x", "flag --version=x"),
        ("--formats tflite", "here holds versions for TF Serving"),
        ("--output data/manifest.json", "--output: data/manifest.json is a file"),
        ("extra", "unexpected argument 'extra'"),
    ],
)
def test_invalid_arguments_are_reported_in_one_line(folder, words, message):
    for name in ("3/saved_model.pb", "3/assets/model_card.json", "2024/photo.jpg"):
        (folder / "here" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "here" / name).write_text("")
    before = files(folder)
    output = [] if "--output" in words else ["--output", "here"]
    code, said, errors = export(*output, *words.split(), cwd=folder)
    assert code == 1 and not said
    assert errors.startswith("export.py: error: ") and message in errors
    assert len(errors.strip().splitlines()) == 1
    assert files(folder) == before


def test_corrupt_record_is_reported(folder, tmp_path):
    shutil.copytree(folder / "data", tmp_path / "data")
    shard = next((tmp_path / "data").glob("*.tfrecord"))
    flip_bit(shard, shard.stat().st_size // 2)
    words = ("--calibration_tfrecords", "data", "--output", "out")
    model = folder / "runs/a/model.keras"
    code, said, errors = export("--model", model, *words, cwd=tmp_path)
    assert code == 1 and not said and "Traceback" not in errors
    *_, error = errors.splitlines()
    assert error.startswith("export.py: error: data: corrupted record at ")
    assert error.endswith("; `python -m data_pipeline.verify` names the record")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--image_size 30", "--image_size must be a multiple of 8"),
        ("--image_size 0", "least 16. Received: 0"),
        ("--image_size 64", "trained at image_size 32 and cannot run at 64"),
    ],
)
def test_incompatible_sizes_are_reported(folder, words, message):
    code, said, errors = export("--output", "sizes", *words.split(), cwd=folder)
    assert code == 1 and not said
    assert message in errors and "Traceback" not in errors
    assert not (folder / "sizes").exists()


def test_help(folder):
    code, output, errors = export("--help", cwd=folder)
    assert code == 0
    output = " ".join(output.split())  # It is wrapped.
    for word in ("--calibration_tfrecords", "none, float16, dynamic, int8", "latest"):
        assert word in output
    assert "tensorflow" not in errors.lower()
