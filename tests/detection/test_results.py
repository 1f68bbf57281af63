"""Files of detections, written and read."""

import json

import numpy as np
import pytest

from picanet_tf.detection.classes import OBJECT_CLASSES
from picanet_tf.detection.results import (
    Detections,
    read_coco,
    read_voc,
    to_coco,
    to_voc,
)
from picanet_tf.errors import PicanetError

FOUND = {
    "000001": Detections(
        np.float32([[10, 20, 50, 80], [0, 0, 5, 6]]),
        np.float32([0.9, 0.25]),
        np.array([15, 1]),
    ),
    "000002": Detections(np.float32([[1, 2, 3, 4]]), np.float32([0.5]), np.array([20])),
}


def same(one, other):
    np.testing.assert_allclose(one.boxes, other.boxes, atol=0.01)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
    np.testing.assert_array_equal(one.classes, other.classes)


def test_coco_by_hand():
    assert to_coco(FOUND)[0] == {
        "image_id": "000001",
        "category_id": 15,
        "bbox": [20.0, 10.0, 60.0, 40.0],
        "score": 0.9,
    }


def test_voc_by_hand():
    """Pixels from 1, both ends counted in."""
    texts = to_voc(FOUND)
    assert list(texts) == list(OBJECT_CLASSES)
    assert texts["person"] == "000001 0.900000 21.00 11.00 80.00 50.00\n"
    assert texts["cat"] == ""


def test_coco_is_read_back(tmp_path):
    path = tmp_path / "detections.json"
    path.write_text(json.dumps(to_coco(FOUND)))
    read = read_coco(path)
    assert list(read) == list(FOUND)
    for name, found in FOUND.items():
        same(read[name], found)


def test_voc_is_read_back(tmp_path):
    for name, text in to_voc(FOUND).items():
        (tmp_path / f"comp3_det_test_{name}.txt").write_text(text)
    read = read_voc(tmp_path)
    assert set(read) == set(FOUND)
    for name, found in FOUND.items():
        same(read[name], found)


GOOD = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Cannot read"),
        ("{}", "a list"),
        (json.dumps([GOOD, {**GOOD, "category_id": 21}]), "entry 1 .*21"),
        (json.dumps([{**GOOD, "bbox": [0, 0, 1]}]), "entry 0"),
        (json.dumps([{**GOOD, "score": float("nan")}]), "entry 0"),
        (json.dumps([{**GOOD, "image_id": None}]), "image_id"),
        (json.dumps([{**GOOD, "bbox": [5, 5, -1, 3]}]), "entry 0.* before it begins"),
        (json.dumps([{**GOOD, "category_id": "dog"}]), "entry 0.*whole number"),
        ("[3]", "entry 0"),
    ],
)
def test_wrong_coco_is_told(tmp_path, text, words):
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(PicanetError, match=words):
        read_coco(path)


@pytest.mark.parametrize(
    "line", ["a 0.5 1 2 3", "a x 1 2 3 4", "a nan 1 2 3 4", "a 0.5 9 2 3 4"]
)
def test_wrong_voc_line_is_told(tmp_path, line):
    path = tmp_path / "comp3_det_test_dog.txt"
    path.write_text(f"a 0.5 1 2 3 4\n{line}\n")
    with pytest.raises(PicanetError, match="dog.txt, line 2"):
        read_voc(tmp_path)


def test_folder_without_detections_is_told(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(PicanetError, match="comp3_det_test_person"):
        read_voc(tmp_path)
