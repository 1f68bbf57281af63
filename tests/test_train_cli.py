"""train.py as users see it. Most errors are reported before importing TensorFlow."""

import json
import re
import shutil
import signal
import time

import numpy as np
import pytest
from PIL import Image

from data_pipeline.convert import convert_folders
from data_pipeline.manifest import load_manifest
from picanet_tf.core.errors import PicanetError
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.run import train
from picanet_tf.training.run_directory import RunDirectory
from tests import commands

TINY = (
    *("--variant", "UNet", "--width", "0.03125", "--image_size", "32"),
    *("--backbone_weights", "none", "--batch_size", "2", "--steps", "2"),
)


def run(*words, cwd, **environment):
    return commands.call(*words, cwd=cwd, HOME=str(cwd), **environment)


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
    convert_folders(
        folder / "images", folder / "masks", folder / "records", name="tiny"
    )
    return folder / "records"


def test_help(tmp_path):
    done = run("train.py", "--help", cwd=tmp_path)
    assert done.returncode == 0
    for flag in (
        "--tfrecords",
        "--variant",
        "--encoder_lr_multiplier",
        "--freeze_encoder",
    ):
        assert flag in done.stdout
    assert "6GAP_5432AC" in done.stdout and "tensorflow" not in done.stderr.lower()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--tfrecords is missing"),
        (["--tfrecords", "nowhere"], "--tfrecords: nowhere: no such data set folder"),
        (["--tfrecords", "x", "--seed", "-1"], "--seed must be at least 0. Received"),
        (["--tfrecords", "x", "--seed", "4294967296"], "--seed must be at most 4294"),
        (["--tfrecords", "x", "--momentum", "1"], "--momentum must be below 1"),
        (["--tfrecords", "x", "--image_size", "80000"], "--image_size must be at most"),
        (["--tfrecords", "x", "--patience", "3"], "--patience counts validations: giv"),
        (
            ["--tfrecords", "x", "--backbone_weights", "picanet_vgg16_duts"],
            "--backbone_weights: picanet_vgg16_duts is a preset, .*: give it as --init",
        ),
        (["--tfrecords", "x", "--init_from", "."], "--init_from: . is not a run direc"),
        (["--resume", "--run", "."], "--run: . is not a run directory: no experiment"),
        (["--tfrecords", "."], "no manifest.json, so this is not a data set"),
        (["--tfrecords", "x", "--variant", "6GAPP"], "Cannot read variant '6GAPP'"),
        (["--tfrecords", "x", "--image_size", "100"], "multiple of 8.*Received: 100"),
        (["--tfrecords", "x", "--steps", "0"], "--steps must be at least 1"),
        (["--tfrecords", "x", "--rate_boundaries", "a,b"], "--rate_boundaries must be"),
        (["--tfrecords", "x", "--stepps", "3"], "stepps"),
        (["--resume"], "no run directory runs/latest"),
        (["--tfrecords", "x", "--init_from", "old"], "init_from: there is no old: "),
    ],
)
def test_invalid_arguments_are_reported_in_one_line(arguments, message, tmp_path):
    error = error_of(run("train.py", *arguments, cwd=tmp_path))
    assert re.search(message, error), error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("record", ["first", "last"])
def test_bad_records_are_reported_in_one_line(record, data, tmp_path):
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


def test_several_workers_need_a_name_for_the_run(data, tmp_path):
    place = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker"}}
    place["task"]["index"] = 1
    workers = {"TF_CONFIG": json.dumps(place)}
    done = run("train.py", "--tfrecords", data, cwd=tmp_path, **workers)
    assert "--run must name the run directory" in error_of(done)
    (tmp_path / "mine").mkdir()
    done = run(
        "train.py", "--tfrecords", data, "--run", "mine", cwd=tmp_path, **workers
    )
    assert "mine exists already" in error_of(done)


def test_failed_start_leaves_no_run_and_keeps_latest(data, tmp_path):
    """So that --resume, predict and export still find the run that is good."""
    good = tmp_path / "runs" / "good"
    good.mkdir(parents=True)
    (tmp_path / "runs" / "latest").symlink_to("good")
    index = TINY.index("--backbone_weights")
    tiny = (*TINY[:index], *TINY[index + 2 :])
    arguments = ("--tfrecords", data, *tiny, "--backbone_weights")
    error = error_of(run("train.py", *arguments, "typo.h5", cwd=tmp_path))
    assert "error: --backbone_weights: No weights 'typo.h5': not" in error
    arguments = (*arguments, "hed", "--run", "mine")
    assert "block1_conv1" in error_of(run("train.py", *arguments, cwd=tmp_path))
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"good", "latest"}
    assert (tmp_path / "runs" / "latest").samefile(good)
    assert not (tmp_path / "mine").exists()


def test_uncreatable_run_is_reported(data, tmp_path):
    (tmp_path / "file").write_text("")
    arguments = ("--tfrecords", data, *TINY, "--run", "file/run")
    error = error_of(run("train.py", *arguments, cwd=tmp_path))
    assert error == "train.py: error: --run file/run cannot be made: Not a directory"


def test_run_without_data_is_reported(tmp_path):
    """As with an experiment.json that was written by hand."""
    RunDirectory.create(Experiment(), str(tmp_path / "run"))
    error = error_of(run("train.py", "--resume", "--run", "run", cwd=tmp_path))
    assert "--tfrecords is missing" in error


def test_changed_data_are_reported(data, tmp_path):
    manifest = load_manifest(data)
    old = {"name": manifest.name, "count": manifest.count, "fingerprint": "f00d"}
    RunDirectory.create(
        Experiment(tfrecords=str(data)), str(tmp_path / "run"), training_set=old
    )
    error = error_of(run("train.py", "--resume", "--run", "run", cwd=tmp_path))
    assert f"The training set {data} has changed since the run began" in error
    same = f"it is still {manifest.name} of {manifest.count} images, but with other con"
    assert same in error


def test_a_validation_set_cannot_be_left_out(data, tmp_path):
    folder = str(data)
    RunDirectory.create(
        Experiment(tfrecords=folder, validation_tfrecords=folder),
        str(tmp_path / "run"),
        validation_set={"name": "tiny", "count": 3, "fingerprint": "f00d"},
    )
    with pytest.raises(PicanetError) as raised:
        train(resume=True, run=tmp_path / "run", validation_tfrecords="")
    assert str(raised.value) == (
        f"The run {tmp_path}/run has a validation set, which cannot be left out: leave "
        "out `validation_tfrecords`, or give its folder"
    )


def test_run_resumes_after_preemption_and_ctrl_c(data, tmp_path):
    """Each saves, says how to go on, and has its exit code; --resume goes on."""
    many = (*TINY[:-1], "100000", "--log_interval", "1", "--run", "run")
    metrics = tmp_path / "run" / "metrics.csv"
    arguments, done_before = ("--tfrecords", data, *many), 0
    for number, code in ((signal.SIGTERM, 75), (signal.SIGINT, 130)):
        process = commands.start("train.py", *arguments, cwd=tmp_path)
        give_up = time.monotonic() + 240
        while time.monotonic() < give_up and process.poll() is None:
            lines = metrics.read_text().splitlines() if metrics.exists() else []
            if len(lines) > done_before + 3:
                break
            time.sleep(0.05)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=240)
        assert process.returncode == code, stderr
        assert "Traceback" not in stderr
        step = int(re.search(r"Stopped after step (\d+) of 100000", stderr)[1])
        assert (metrics.parent / "checkpoints" / f"step-{step}.index").exists()
        assert "picanet train --resume --run run" in stderr
        steps = [int(line.split(",")[0]) for line in metrics.read_text().split()[1:]]
        assert steps == list(range(1, step + 1))
        arguments, done_before = ("--resume", "--run", "run"), step


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
