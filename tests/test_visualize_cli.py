"""`visualize.py`, as a command: what it draws, measures, says and answers."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_pipeline.convert import convert_folders
from tests import bad_images, commands
from tests.commands import written
from tests.data_pipeline.conftest import flip_bit


@pytest.fixture(scope="module")
def network(tiny_network, tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "model.keras"
    tiny_network("6GAP_5AC").save(path)
    return path


visualize = functools.partial(commands.call, "visualize.py")


def pairs(folder, number=3):
    """Images with a square in them, and their masks."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for index in range(number):
        mask = np.zeros([40, 60], np.uint8)
        mask[10:30, 10 + 5 * index : 30 + 5 * index] = 255
        image = np.dstack([mask // 2 + 50, mask, mask])
        Image.fromarray(mask).save(folder / "masks" / f"{index}.png")
        Image.fromarray(image).save(folder / "images" / f"{index}.png")


def test_figures_and_statistics(network, tmp_path):
    pairs(tmp_path / "in")
    source = tmp_path / "in"
    convert_folders(source / "images", source / "masks", tmp_path / "data")
    (tmp_path / "in" / "images" / "text.jpg").write_text("hello")
    Image.new("RGB", (9, 6)).save(tmp_path / "in" / "images" / f"{'n' * 246}.png")
    run = visualize(
        *("--model", network, "--output", tmp_path / "out"),
        *("--input", tmp_path / "in" / "images", "--tfrecords", tmp_path / "data"),
        *("--batch_size", 2, "--pixel", "59,39", "--pixel", "0,0"),
    )
    assert run.returncode == 1 and "Traceback" not in run.stderr, run.stderr
    assert "text.jpg: not an image of a known format" in run.stderr
    assert "has at most 255 bytes, and that of the result, with .attention.png" in (
        run.stderr
    )
    assert "would have 260. Rename the file" in run.stderr
    assert "2 of 5 were skipped" in run.stderr
    expected = {"attention.json"} | {
        f"{index}.{kind}.png"
        for index in range(3)
        for kind in ("attention", "features")
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected
    for name in expected - {"attention.json"}:
        Image.open(tmp_path / "out" / name).load()

    results = json.loads((tmp_path / "out" / "attention.json").read_text())
    assert results["D6"]["images"] == 3
    # An untrained network attends about evenly.
    for name in ("foreground_on_background", "background_on_foreground"):
        share = results["D6"][name]
        assert share["attention"] == pytest.approx(share["uniform"], abs=0.05)
        assert f"{share['attention']:.1%}" in run.stdout
    assert "D6, 3 images" in run.stdout


def test_corrupt_record_is_reported(network, tmp_path):
    pairs(tmp_path / "in")
    convert_folders(tmp_path / "in/images", tmp_path / "in/masks", tmp_path / "data")
    shard = next((tmp_path / "data").glob("*.tfrecord"))
    flip_bit(shard, shard.stat().st_size // 2)
    words = ("--model", network, "--tfrecords", "data", "--output", "out")
    run = visualize(*words, cwd=tmp_path)
    assert run.returncode == 1 and "Traceback" not in run.stderr
    *_, error = run.stderr.splitlines()
    assert error.startswith("visualize.py: error: data: corrupted record at ")
    assert error.endswith("; `python -m data_pipeline.verify` names the record")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_bad_files_are_reported_and_unusual_ones_drawn(network, tmp_path):
    bad_images.write_all(tmp_path / "in")
    # A name is no formula: matplotlib would choke on it.
    Image.new("RGB", (9, 6)).save(tmp_path / "in" / "$\\frac$ \u5b57.png")
    run = visualize(
        *("--model", network, "--input", tmp_path / "in", "--output", tmp_path / "out")
    )
    assert run.returncode == 1 and "Traceback" not in run.stderr, run.stderr
    for name in bad_images.BAD:
        case = bad_images.CASES[name]
        assert f"{case.file}: {case.reason}" in run.stderr
    total = len(bad_images.CASES) + 1
    assert f"{len(bad_images.BAD)} of {total} were skipped" in run.stderr
    assert "Warning" not in run.stderr
    good = [Path(bad_images.CASES[name].file).stem for name in bad_images.GOOD]
    expected = {
        f"{stem}.{kind}.png"
        for stem in [*good, "$\\frac$ \u5b57"]
        for kind in ("attention", "features")
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected
    for name in expected:
        Image.open(tmp_path / "out" / name).load()


def test_photos_of_one_stem_get_distinct_figures(network, tmp_path):
    for name in ("a.jpg", "a.png"):
        Image.new("RGB", (30, 20)).save(tmp_path / name)
    run = visualize("--model", network, "a.jpg", "a.png", "--output=.", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    ends = ("", ".attention.png", ".features.png")
    assert written(tmp_path) == [
        f"a.{kind}{e}" for kind in ("jpg", "png") for e in ends
    ]


def test_figures_are_not_taken_for_photos(network, tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "in" / "a.png")
    for number in range(2):
        words = ("--model", network, "in", "--output", "in/out")
        run = visualize(*words, cwd=tmp_path)
        assert run.returncode == 0, run.stderr
        figures = ["out/a.attention.png", "out/a.features.png"]
        assert written(tmp_path / "in") == ["a.png", *figures]
        line = "Passed over 2 files: 2 in the output folder"
        assert (line in run.stderr) == (number == 1)


def test_pixel_outside_the_image_is_reported(network, tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "photo.png")
    Image.new("RGB", (31, 20)).save(tmp_path / "wide.png")
    run = visualize(
        *("--model", network, "--input", "photo.png", "--input", "wide.png"),
        *("--output", "out", "--pixel", "30,5"),
        cwd=tmp_path,
    )
    assert run.returncode == 1 and "Traceback" not in run.stderr
    assert run.stderr.strip().splitlines()[-1] == (
        "visualize.py: error: --pixel 30,5 is outside photo.png: x must be in 0..29 "
        "and y in 0..19"
    )
    assert not (tmp_path / "out").exists()


def test_box_is_refused_for_a_saliency_network(network, tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "photo.png")
    run = visualize(
        *("--model", network, "--input", tmp_path / "photo.png"),
        *("--output", tmp_path / "out", "--box", "1"),
    )
    assert run.returncode == 1 and run.stderr.strip().splitlines()[-1] == (
        "visualize.py: error: --box requires a detection network. "
        f"{network} has no boxes"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--input is missing"),
        (["--input", "here.png"], "--output is missing"),
        (["--pixel", "1,2", "--tfrecords", "d"], "--pixel goes with --input"),
        (["--box", "1", "--tfrecords", "d"], "--box goes with --input"),
        (["here.png", "--pixel", "12", "--output", "o"], "--pixel must be x,y"),
        (["--input", "a.jpg", "--output", "o"], "--input: there is no a.jpg"),
        (["--input", "empty", "--output", "o"], "--input: no images in empty"),
        (
            ["--input", "clip.mp4", "--output", "o"],
            "--input must be images. Received: video clip.mp4",
        ),
        (["here.png", "--max_images", "3"], "--max_images goes with --tfrecords"),
        (["here.png", "--batch_size", "2"], "--batch_size goes with --tfrecords"),
        (["--tfrecords", "nowhere", "--output", "o"], "nowhere"),
        (["here.png", "--output", "o", "--model", "r"], "there is no r: neither a run"),
        (
            ["--serve", "here.png", "--output", "o"],
            "be combined with --output, here.png",
        ),
        (["here.png", "--output", "o", "--port", "80"], "--port goes with --serve"),
        (
            ["here.png", "--output", "here.png/o"],
            "--output: cannot write to here.png/o: Not a directory",
        ),
        (
            [".", "--output", "."],
            "--output must not be the folder of the inputs, .: the next run would take "
            "the results for photos. Give another folder\n",
        ),
        (
            ["here.png", "here.attention.png", "--output", "."],
            "the result of here.png would overwrite the input here.attention.png",
        ),
        (
            ["here.features.png", "here.png", "--output", "."],
            "the result of here.png would overwrite the input here.features.png",
        ),
        (["--serve", "--port", "0"], "0 is not an integer in the range [1, 65535]"),
        (["here.png", "--output", "o", "--model", "r.keras"], "no model file r.keras"),
    ],
)
def test_invalid_arguments_are_reported_in_one_line(words, message, tmp_path):
    """Each is reported before TensorFlow is imported."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "clip.mp4").write_bytes(b"")
    for name in ("here.png", "here.attention.png", "here.features.png"):
        Image.new("RGB", (30, 20)).save(tmp_path / name)
    run = visualize(*words, cwd=tmp_path)
    assert run.returncode == 1 and not run.stdout
    assert run.stderr.startswith("visualize.py: error: ") and message in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "o").exists()
