"""train.py as a user meets it. Most mistakes are told before TensorFlow is imported."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_pipeline.convert import convert_saliency

ROOT = Path(__file__).resolve().parent.parent
TINY = (
    *("--variant", "UNet", "--width", "0.03125", "--image_size", "32"),
    *("--backbone_weights", "none", "--batch_size", "2", "--steps", "2"),
)


def run(script, *arguments, cwd):
    return subprocess.run(
        [sys.executable, str(ROOT / script), *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(cwd)},
    )


def error_of(done):
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for name in ("a", "b", "c"):
        photo = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        mask = np.zeros((40, 50), np.uint8)
        mask[10:30, 10:40] = 255
        Image.fromarray(photo).save(folder / "images" / f"{name}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    convert_saliency(
        folder / "images", folder / "masks", folder / "records", name="tiny",
        skip_bad=False, overwrite=False,
    )  # fmt: skip
    return folder / "records"


def test_help(tmp_path):
    done = run("train.py", "--help", cwd=tmp_path)
    assert done.returncode == 0
    for flag in (
        "--tfrecords",
        "--variant",
        "--encoder_rate_ratio",
        "--freeze_encoder",
    ):
        assert flag in done.stdout
    assert "6GAP_5432AC" in done.stdout and "tensorflow" not in done.stderr.lower()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--tfrecords is missing"),
        (["--tfrecords", "nowhere"], "nowhere"),
        (["--tfrecords", "."], "no manifest.json, so not a data set"),
        (["--tfrecords", "x", "--variant", "6GAPP"], "Cannot read variant '6GAPP'"),
        (["--tfrecords", "x", "--image_size", "100"], "multiple of 8.*Received: 100"),
        (["--tfrecords", "x", "--steps", "0"], "--steps must be at least 1"),
        (["--tfrecords", "x", "--rate_boundaries", "a,b"], "--rate_boundaries must be"),
        (["--tfrecords", "x", "--stepps", "3"], "stepps"),
        (["--resume"], "no run directory runs/latest"),
        (["--tfrecords", "x", "--init_from", "old"], "no run directory old"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, message, tmp_path):
    error = error_of(run("train.py", *arguments, cwd=tmp_path))
    assert re.search(message, error), error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("record", ["first", "last"])
def test_bad_records_are_told_in_one_line(record, data, tmp_path):
    """Those of the first batch, as all are of foreign files, before there is a run."""
    records = shutil.copytree(data, tmp_path / "records")
    (shard,) = records.glob("*.tfrecord")
    content = bytearray(shard.read_bytes())
    content[100 if record == "first" else -100] ^= 1
    shard.write_bytes(content)
    error = error_of(run("train.py", "--tfrecords", "records", *TINY, cwd=tmp_path))
    assert re.fullmatch(
        r"train.py: error: records: corrupted record at \d+; "
        "`python -m data_pipeline.verify` names the record",
        error,
    )
    assert (tmp_path / "runs").exists() == (record == "last")


def test_train_then_resume_then_predict(data, tmp_path):
    done = run("train.py", "--tfrecords", data, *TINY, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    latest = tmp_path / "runs" / "latest"
    assert latest.is_symlink()
    assert {path.name for path in latest.iterdir()} >= {
        "experiment.json",
        "provenance.json",
        "checkpoints",
        "model.keras",
        "tensorboard",
    }

    again = run("train.py", "--tfrecords", data, *TINY, "--run", latest, cwd=tmp_path)
    assert "exists already. Give --resume" in error_of(again)
    other = run("train.py", "--resume", "--batch_size", "3", cwd=tmp_path)
    assert "A resumed run keeps its settings" in error_of(other)
    assert "--batch_size was 2" in error_of(other)
    done = run("train.py", "--resume", cwd=tmp_path)  # nothing is left to do
    assert done.returncode == 0, done.stderr

    done = run("predict.py", "--input", data.parent / "images", "--output", "maps",
               cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    maps = sorted((tmp_path / "maps").iterdir())
    assert [path.name for path in maps] == ["a.png", "b.png", "c.png"]
    with Image.open(maps[0]) as saliency:
        assert saliency.size == (50, 40) and saliency.mode == "L"
