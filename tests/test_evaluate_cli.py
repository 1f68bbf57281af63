"""evaluate.py as users see it."""

import csv
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import bad_images, commands

FAST = ("--metrics", "fast", "--workers", "0")


run = functools.partial(commands.call, "evaluate.py")


def error_of(done):
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """ecssd/{images,masks}, and the masks' own right halves as maps of a method."""
    folder = tmp_path_factory.mktemp("sets") / "ecssd"
    rng = np.random.default_rng(0)
    for number, name in enumerate("abc"):
        mask = np.zeros((40, 50), np.uint8)
        mask[10:30, 10:30] = 255
        photo = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        save(folder / "images" / f"{name}.png", photo)
        save(folder / "masks" / f"{name}.png", mask)
        found = mask.copy()
        found[:, 10 : 10 + 5 * number] = 0
        save(folder / "maps" / "ECSSD" / f"{name}.png", found)
    return folder


def pairs(folder):
    return "--images", folder / "images", "--masks", folder / "masks"


def test_help(tmp_path):
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    for word in ("--predictions", "--baseline", "--[no]normalize", "max_mean_f",
                 "foreground above 128 of 255"):  # fmt: skip
        assert word in done.stdout, word
    assert "tensorflow" not in done.stderr.lower()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("--baseline center", "No data set: give --tfrecords, or --masks"),
        ("--baseline center --tfrecords nowhere", "nowhere: no such data set folder"),
        ("--baseline center --masks nowhere", "nowhere: no such folder"),
        ("--baseline center --masks empty", "--masks: no images in empty"),
        ("--baseline center --images empty", "must be given as often as --masks"),
        ("--baseline centre --masks S/masks", "--baseline.*center"),
        ("--masks S/masks", "duts needs images, but ecssd has only masks"),
        ("--model nothing --masks S/masks", "there is no nothing: neither a run"),
        ("--model empty --masks S/masks", "empty is not a run directory"),
        ("--model no.keras --masks S/masks", "there is no model file no.keras"),
        ("--predictions X=empty --masks S/masks", "empty: 3 of 3 maps for ecssd"),
        ("--predictions X=S/maps --predictions X=S/masks --masks S/masks",
         "Two methods are named X"),
        ("--baseline center --masks S/masks --masks S/masks",
         "Two data sets are named ecssd"),
        ("--baseline center --masks S/masks --output text.txt", "text.txt is a file"),
        ("--baseline center --masks S/masks --output text.txt/ev",
         "error: --output: cannot write to text.txt/ev: Not a directory"),
        ("--baseline center --images S/images --masks other",
         "no pair in .* Images: a.png, b.png; masks: z.png. --mask_suffix says"),
        ("--baseline center --masks nowhere", "error: --masks nowhere: no such folder"),
        ("--predictions X=nowhere --masks S/masks", "--predictions nowhere: no such"),
        ("--baseline center --masks S/images", "a.png: a photo, not a mask"),
        ("--baseline center --masks other", "1 of 1 mask without foreground"),
        ("--baseline center --invert_masks", "--invert_masks is for --masks, which"),
        ("--baseline center --mask_suffix _m", "--mask_suffix is for --masks, which"),
        ("--baseline center --masks S/masks S/maps", "unexpected argument"),
    ],
)  # fmt: skip
def test_invalid_arguments_are_reported_in_one_line(
    arguments, message, photos, tmp_path
):
    (tmp_path / "empty").mkdir()
    save(tmp_path / "other" / "z.png", np.zeros((3, 3), np.uint8))
    (tmp_path / "text.txt").write_text("")
    before = sorted(tmp_path.rglob("*"))
    words = arguments.replace("S/", f"{photos}/").split()
    if "text.txt" not in arguments:
        words += ["--output", "out"]
    error = error_of(run(*words, *FAST, cwd=tmp_path))
    assert re.search(message.replace("S/", f"{photos}/"), error), error
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("role", ["images", "masks", "maps"])
@pytest.mark.parametrize("kind", bad_images.BAD)
def test_bad_files_are_named_and_nothing_is_written(kind, role, tmp_path):
    for each in ("images", "masks", "maps"):
        if each == role:
            bad = bad_images.write(tmp_path / each, kind)
        else:
            mask = np.asarray(bad_images.half())
            save(
                tmp_path / each / f"{Path(bad_images.CASES[kind].file).stem}.png", mask
            )
    done = run("--predictions", "X=maps", *pairs(tmp_path), "--output", "out", *FAST,
               cwd=tmp_path)  # fmt: skip
    named = bad.relative_to(tmp_path) if role == "maps" else bad
    assert f"error: {named}: {bad_images.CASES[kind].reason}" in error_of(done)
    assert not (tmp_path / "out").exists()


def test_files_without_a_partner_are_listed(photos, tmp_path):
    save(tmp_path / "two" / "a.png", np.zeros((3, 3), np.uint8))
    done = run("--baseline", "center", "--images", photos / "images", "--masks", "two",
               "--output", "out", *FAST, cwd=tmp_path)  # fmt: skip
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    assert done.stderr.strip().splitlines()[-3:] == [
        "evaluate.py: error: 2 bad files, all must be paired:",
        f"  {photos}/images/b.png: no mask of this name in two",
        f"  {photos}/images/c.png: no mask of this name in two",
    ]


def test_a_photo_among_the_masks_of_the_last_data_set_leaves_nothing(photos, tmp_path):
    for name in "abc":
        save(tmp_path / "last" / f"{name}.png", np.full((40, 50), 255, np.uint8))
    photo = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    save(tmp_path / "last" / "b.png", photo)
    done = run("--baseline", "center", "--masks", photos / "masks", "--masks", "last",
               "--name", "first", "--name", "last", "--output", "out", *FAST,
               cwd=tmp_path)  # fmt: skip
    assert "error: last/b.png: a photo, not a mask: " in error_of(done)
    assert not (tmp_path / "out").exists()


def test_a_wrong_mask_is_named_and_nothing_is_written(tmp_path):
    save(tmp_path / "images" / "bad.jpg", np.zeros((40, 50, 3), np.uint8))
    save(tmp_path / "masks" / "bad.png", np.zeros((39, 50), np.uint8))
    done = run("--baseline", "center", *pairs(tmp_path), "--output", "out", *FAST,
               cwd=tmp_path)  # fmt: skip
    message = "bad.png: 50 x 39, but its image .* is 50 x 40"
    assert re.search(message, error_of(done))
    assert not (tmp_path / "out").exists()


def test_index_masks_and_faint_maps_are_scored(tmp_path):
    """The rule of indices is for masks; a map may be as faint as it likes."""
    faint = np.arange(80, dtype=np.uint8).reshape(8, 10) // 8
    save(tmp_path / "masks" / "s" / "a_m.png", np.uint8(faint > 4))
    save(tmp_path / "maps" / "s" / "a.png", faint)
    done = run("--predictions", "maps", "--masks", "masks", "--mask_suffix", "_m",
               *FAST, cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 mask: indices up to 1, non-zero is foreground" in done.stderr
    row = done.stdout.splitlines()[2].split()
    assert row[:2] == ["maps", "1.000"]
    expected = np.abs(faint / 9 - (faint > 4)).mean()
    assert float(row[5]) == pytest.approx(expected, abs=5e-4)


def test_unusual_but_valid_files_are_scored(tmp_path):
    """Each is an image, its own mask and a perfect map of it."""
    for role in ("images", "masks", "maps"):
        bad_images.write_all(tmp_path / role, bad_images.GOOD)
    done = run("--predictions", "same=maps", *pairs(tmp_path), "--name", "set",
               "--output", "out", "--workers", "0", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    scores = report["datasets"]["set"]["methods"]["same"]
    assert scores["max_f"] == pytest.approx(1, abs=1e-3)
    assert scores["mae"] < 0.005  # The CMYK file is a JPEG.
    with (tmp_path / "out" / "set" / "same" / "images.csv").open() as file:
        names = {row["name"] for row in csv.DictReader(file)}
    assert names == {Path(bad_images.CASES[name].file).stem for name in bad_images.GOOD}


def test_methods_are_scored_on_folders(photos, tmp_path):
    done = run(
        *("--predictions", f"DSS={photos}/maps", "--baseline", "center"),
        *(*pairs(photos), "--output", "out/deep", "--grid_images", "2", *FAST),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out" / "deep"
    assert {path.relative_to(out).as_posix() for path in out.rglob("*.*")} == {
        "report.json", "report.md", "ecssd/pr_curve.png", "ecssd/f_curve.png",
        "ecssd/examples.png",
        *(f"ecssd/{name}/{file}" for name in ("DSS", "center")
          for file in ("images.csv", "worst.png", "best.png")),
    }  # fmt: skip
    ecssd = json.loads((out / "report.json").read_text())["datasets"]["ecssd"]
    # Recall 1, 3/4 and 1/2 of 400 pixels out of 2,000; precision 1.
    expected = 1.3 * 0.75 / (0.3 + 0.75)
    assert ecssd["methods"]["DSS"]["max_f"] == pytest.approx(expected)
    assert ecssd["methods"]["DSS"]["mae"] == pytest.approx((0 + 100 + 200) / 3 / 2000)
    assert ecssd["methods"]["DSS"]["paper"]["max_f"] == 0.916
    assert ecssd["differences"][0]["minus"] == "DSS"
    assert "DSS, the paper" in done.stdout and f"{expected:.3f}" in done.stdout
    with (out / "ecssd" / "DSS" / "images.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["a", "b", "c"]
    assert rows[2]["mae"] == "0.100000"


def test_nonormalize_leaves_maps_unstretched(tmp_path):
    mask = np.zeros((4, 4), np.uint8)
    mask[2:] = 255
    save(tmp_path / "set" / "masks" / "a.png", mask)
    save(tmp_path / "maps" / "a.png", mask // 5)
    for flag, expected in (("--normalize", "0.000"), ("--nonormalize", "0.400")):
        done = run("--predictions", "maps", "--masks", "set/masks", flag, *FAST,
                   cwd=tmp_path)  # fmt: skip
        assert done.returncode == 0, done.stderr
        row = done.stdout.splitlines()[2].split()
        assert row[0] == "maps" and row[5] == expected
    assert "maps not normalized" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maps", "set"]


def test_ctrl_c_leaves_nothing(photos, tmp_path):
    (tmp_path / "masks").mkdir()
    for number in range(10_000):
        (tmp_path / "masks" / f"{number}.png").symlink_to(photos / "masks" / "a.png")
    process = subprocess.Popen(
        [sys.executable, str(commands.ROOT / "evaluate.py"), "--baseline", "center",
         "--masks", "masks", "--name", "many", "--output", "out", "--workers", "1",
         "--metrics", "fast"],
        cwd=tmp_path, env=commands.ENVIRONMENT, stderr=subprocess.PIPE,
        stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    seen = b""
    while seen.count(b"/10000 [") < 4:  # the bar moves
        seen += process.stderr.read(16)
        assert process.poll() is None, seen
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to workers as well
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"evaluate.py: interrupted" in rest and b"Traceback" not in rest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["masks"]


@pytest.fixture(scope="module")
def trained(tiny_network, tmp_path_factory):
    """A run directory with a network that nobody trained."""
    from picanet_tf.training.experiments import Experiment
    from picanet_tf.training.run_directory import RunDirectory

    path = tmp_path_factory.mktemp("runs") / "tiny"
    run = RunDirectory.create(
        Experiment(variant="UNet", image_size=32, width=1 / 32), str(path)
    )
    tiny_network("UNet", gain=20).save(run.path / "model.keras")
    return run.path


def test_network_is_scored_on_records_and_on_folders(trained, photos, tmp_path):
    """By a subprocess, against the library called by hand."""
    from data_pipeline.convert import convert_folders
    from picanet_tf import load_model
    from picanet_tf.core.images import read_image, read_mask
    from picanet_tf.saliency.metrics import SaliencyMetrics

    convert_folders(
        photos / "images", photos / "masks", tmp_path / "records", name="ECSSD"
    )
    for name in ("ECSSD", "folders"):
        shutil.copytree(photos / "maps" / "ECSSD", tmp_path / "maps" / name)
    done = run(
        *("--model", trained, "--tfrecords", "records", "--output", "out"),
        *("--predictions", "DSS=maps", "--batch_size", "2"),
        *(*pairs(photos), "--name", "folders", "--workers", "0"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    datasets = json.loads((tmp_path / "out" / "report.json").read_text())["datasets"]
    model, metrics = load_model(trained), SaliencyMetrics()
    for name in "abc":
        saliency = model.predict(read_image(photos / "images" / f"{name}.png"))
        assert saliency.std() > 0.01
        metrics.update(saliency, read_mask(photos / "masks" / f"{name}.png"))
    for dataset in ("ECSSD", "folders"):
        scores = datasets[dataset]["methods"]["UNet (tiny)"]
        for score, value in metrics.result().scores.items():
            assert scores[score] == pytest.approx(value, rel=1e-4), score
        assert scores["details"]["model"] == str(trained)
        assert len(scores["details"]["sha256"]) == 64
    assert datasets["ECSSD"]["methods"]["UNet (tiny)"]["paper"]["max_f"] == 0.906
    assert len(datasets["ECSSD"]["fingerprint"]) == 64
    assert "ECSSD max F" in done.stdout and "folders MAE" in done.stdout


def test_corrupt_record_is_reported(photos, tmp_path):
    from data_pipeline.convert import convert_folders

    records = tmp_path / "records"
    convert_folders(photos / "images", photos / "masks", records, name="ECSSD")
    shard = next(records.glob("*.tfrecord"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 255
    shard.write_bytes(data)
    error = error_of(run("--baseline", "center", "--tfrecords", "records",
                         "--output", "out", *FAST, cwd=tmp_path))  # fmt: skip
    assert "error: records: corrupted record at " in error
    assert error.endswith("; `python -m data_pipeline.verify` names the record")
    assert not (tmp_path / "out").exists()
