"""The commands on a detection data set, as a user types them."""

import json

import numpy as np
import pytest
from PIL import Image

from picanet_tf.detection.results import read_coco
from tests import commands
from tests.data_pipeline.test_voc_objects import convert, devkit  # noqa: F401

TINY = (
    *("--variant", "478LAP_910GAP", "--width", "0.03125", "--image_size", "64"),
    *("--backbone_weights", "none", "--batch_size", "2", "--log_interval", "1"),
)


@pytest.mark.slow
def test_train_evaluate_predict_visualize(devkit):  # noqa: F811
    done = convert(devkit, "voc2007", "--split", "train")
    assert done.returncode == 0, done.stderr

    detect = ("train.py", "--task", "detection", "--tfrecords", "records")
    done = commands.run(*detect, *TINY, "--steps", "2", "--run", "r", cwd=devkit)
    assert done.code == 0, done.stderr

    done = commands.run(
        *("evaluate.py", "--model", "r", "--tfrecords", "records", "--output", "out"),
        *("--baseline", "whole-image"),
        cwd=devkit,
    )
    assert done.code == 0, done.stderr
    report = json.loads((devkit / "out" / "report.json").read_text())
    (scored,) = report["datasets"].values()

    assert set(scored["methods"]) == {"478LAP_910GAP (r)", "whole-image"}
    assert 0 <= scored["methods"]["whole-image"]["mean_ap"] <= 1

    photos = [f"VOCdevkit/VOC2007/JPEGImages/{name}.jpg" for name in "ab"]
    for form in ("boxes", "json", "voc"):
        done = commands.run(
            *("predict.py", "--model", "r", *photos, "--output", "p", "--format", form),
            cwd=devkit,
        )
        assert done.code == 0, done.stderr
    assert Image.open(devkit / "p" / "b.png").size == (40, 30)
    found = read_coco(devkit / "p" / "detections.json")
    assert set(found) <= {"a", "b"}
    text = (devkit / "p" / "comp3_det_test_dog.txt").read_text()
    dogs = sum((each.classes == 12).sum() for each in found.values())
    assert len(text.splitlines()) == dogs
    done = commands.run(
        *("evaluate.py", "--tfrecords", "records", "--output", "again"),
        *("--predictions", "r=p/detections.json"),
        cwd=devkit,
    )
    assert done.code == 0, done.stderr
    report = json.loads((devkit / "again" / "report.json").read_text())
    (again,) = report["datasets"].values()
    ap = again["methods"]["r"]["mean_ap"]
    assert abs(ap - scored["methods"]["478LAP_910GAP (r)"]["mean_ap"]) < 1e-6

    mask = ("predict.py", "--model", "r", *photos, "--output", "m", "--format", "mask")
    refused = commands.run(*mask, cwd=devkit).error
    assert "--format must be one of boxes, json, voc for r" in refused
    resumed = ("predict.py", "--model", "r", *photos, "--output", "m", "--resume")
    wrong = commands.run(*resumed, "--format", "json", cwd=devkit)
    assert "cannot be combined with --resume" in wrong.error

    look = ("visualize.py", "--model", "r", photos[1], "--output", "v")
    boxes = len(found["b"])
    done = commands.run(*look, "--pixel", "20,20", "--box", str(boxes), cwd=devkit)
    assert done.code == 0, done.stderr
    assert np.asarray(Image.open(devkit / "v" / "b.attention.png")).std() > 0
    done = commands.run(*look, "--box", str(boxes + 1), cwd=devkit)
    assert done.error.endswith(f"--box {boxes + 1}: {photos[1]} has {boxes} boxes")
