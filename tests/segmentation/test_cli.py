"""The commands on a segmentation data set, as a user types them."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from data_pipeline.class_maps import read_class_map
from data_pipeline.convert import convert_folders
from tests import commands
from tests.segmentation.shapes import shapes

TINY = (
    *("--variant", "DeepLab_LAP", "--width", "0.03125", "--image_size", "33"),
    *("--backbone_weights", "none", "--batch_size", "2", "--log_interval", "1"),
)


@pytest.mark.slow
def test_train_resume_evaluate_predict_visualize(tmp_path):
    images, classes = shapes(4, 48)
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for number, (image, truth) in enumerate(zip(images, classes, strict=True)):
        Image.fromarray(np.uint8(image)).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(truth[..., 0]).save(tmp_path / "masks" / f"{number}.png")
    convert_folders(
        tmp_path / "images",
        tmp_path / "masks",
        tmp_path / "data",
        kind="class_map",
        name="shapes",
    )

    segment = ("train.py", "--task", "segmentation", "--tfrecords", "data")
    done = commands.run(*segment, *TINY, "--steps", "2", "--run", "r", cwd=tmp_path)
    assert done.code == 0, done.stderr
    done = commands.run("train.py", "--resume", "--run", "r", cwd=tmp_path)
    assert done.code == 0, done.stderr
    with (tmp_path / "r" / "metrics.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2"]
    wrong = commands.run("train.py", "--tfrecords", "data", cwd=tmp_path)
    assert "data: holds class maps, but masks are required" in wrong.error

    done = commands.run(
        *("evaluate.py", "--model", "r", "--tfrecords", "data", "--output", "out"),
        *("--baseline", "background"),
        cwd=tmp_path,
    )
    assert done.code == 0, done.stderr
    assert "mean_iou" in done.stdout and "person" in done.stdout
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    scores = report["datasets"]["shapes"]["methods"]["background"]
    counts = classes != 255
    share = (classes == 0).sum() / counts.sum()
    assert abs(scores["mean_iou"] - share / 2) < 1e-6
    assert abs(scores["pixel_accuracy"] - share) < 1e-6
    assert scores["iou"]["person"] == 0 and scores["iou"]["cat"] is None
    assert (tmp_path / "out" / "shapes" / "examples.png").is_file()

    done = commands.run(
        "predict.py", "--model", "r", "images", "--output", "p", cwd=tmp_path
    )
    assert done.code == 0, done.stderr
    assert read_class_map(tmp_path / "p" / "3.png").shape == (48, 48)
    mask = ("predict.py", "--model", "r", "images", "--output", "m", "--format", "mask")
    refused = commands.run(*mask, cwd=tmp_path).error
    assert "--format must be one of map, overlay, panel for r" in refused

    look = ("visualize.py", "--model", "r", "images/0.png", "--output", "v")
    done = commands.run(*look, "--pixel", "20,20", cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert (tmp_path / "v" / "0.attention.png").is_file()
    assert (
        "is outside images/0.png"
        in commands.run(*look, "--pixel", "50,0", cwd=tmp_path).error
    )
