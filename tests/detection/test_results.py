"""Files of detections, written and read."""

import json
import os

import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import write_text
from picanet_tf.core.voc import OBJECT_CLASSES
from picanet_tf.detection.results import (
    Detections,
    read_coco,
    read_voc,
    to_coco,
    to_voc,
)

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


def test_a_voc_line_ends_at_its_newline_only(tmp_path):
    """Names may hold what Unicode calls a line separator."""
    path = tmp_path / "comp3_det_test_cat.txt"
    path.write_text("a\u2028b\x85c 0.5 1 1 9 9\n", encoding="utf-8")
    assert list(read_voc(tmp_path)) == ["a\u2028b\x85c"]


GOOD = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Cannot read"),
        ("{}", "a list"),
        (json.dumps([GOOD, {**GOOD, "category_id": 21}]), "entry 1 .*21"),
        (json.dumps([{**GOOD, "bbox": [0, 0, 1]}]), "entry 0 .*not enough"),
        (json.dumps([{**GOOD, "score": float("nan")}]), "entry 0 .*not a number"),
        (json.dumps([{**GOOD, "image_id": None}]), "image_id"),
        (json.dumps([{**GOOD, "image_id": 1.5}]), "image_id"),
        (json.dumps([{**GOOD, "image_id": True}]), "image_id"),
        (json.dumps([{**GOOD, "image_id": ["a"]}]), "image_id"),
        (json.dumps([{**GOOD, "category_id": 0}]), "the class 0 is not in 1..20"),
        (json.dumps([{**GOOD, "category_id": "dog"}]), "a class must be an int"),
        (json.dumps([{**GOOD, "category_id": 1.5}]), "a class must be an int"),
        (json.dumps([{**GOOD, "category_id": True}]), "a class must be an int"),
        (json.dumps([{**GOOD, "bbox": [0, 0, -1, 1]}]), "negative width or height"),
        (json.dumps([{**GOOD, "bbox": [0, 0, 1, -1]}]), "negative width or height"),
        (json.dumps([{**GOOD, "bbox": [0, 0, 1, float("inf")]}]), "is not a number"),
        (json.dumps([{**GOOD, "bbox": [0, 0, 1, 1e39]}]), "too large"),
        (json.dumps([{**GOOD, "bbox": [0, 0, 1, 10**400]}]), "entry 0 .*Overflow"),
        (json.dumps([{**GOOD, "bbox": "box"}]), "entry 0 .*could not convert"),
        (json.dumps([{**GOOD, "bbox": None}]), "entry 0 .*NoneType"),
        (json.dumps([{**GOOD, "score": "sure"}]), "entry 0 .*could not convert"),
        (json.dumps([{**GOOD, "score": None}]), "entry 0 .*NoneType"),
        (json.dumps([{"image_id": 1}]), "entry 0 .*bbox"),
        ("[" * 100_000, "Cannot read"),
        ("", "Cannot read"),
        ("[3]", "entry 0 .*not subscriptable"),
    ],
)
def test_invalid_coco_files_are_reported(tmp_path, text, words):
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(PicanetError, match=words):
        read_coco(path)


@pytest.mark.parametrize(
    "line",
    ["a 0.5 1 2 3", "a x 1 2 3 4", "a nan 1 2 3 4", "a b 0.5 1 2 3", "a"]
    + ["a inf 1 2 3 4", "a 0.5 9 2 3 4", "a 0.5 1 9 3 4", "a 0.5 1 2 1e39 4"],
)
def test_invalid_voc_lines_are_reported(tmp_path, line):
    path = tmp_path / "comp3_det_test_dog.txt"
    path.write_text(f"a 0.5 1 2 3 4\n{line}\n")
    with pytest.raises(PicanetError, match="dog.txt, line 2"):
        read_voc(tmp_path)


def test_image_names_with_spaces_are_read_back(tmp_path):
    (found,) = list(FOUND.values())[1:]
    text = to_voc({"my  photo (2)": found})["tvmonitor"]
    (tmp_path / "comp3_det_test_tvmonitor.txt").write_text(text)
    read = read_voc(tmp_path)
    assert list(read) == ["my  photo (2)"]
    same(read["my  photo (2)"], found)


def test_non_utf8_image_names_are_read_back(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    for label, text in to_voc({name: FOUND["000001"]}).items():
        write_text(tmp_path / f"comp3_det_test_{label}.txt", text)
    assert b"caf\xe9 0." in (tmp_path / "comp3_det_test_person.txt").read_bytes()
    assert list(read_voc(tmp_path)) == [name]


def test_boxes_without_size_survive_two_decimals(tmp_path):
    """After rounding, such a box may seem to end before it begins."""
    x = np.float32(0.065)
    found = Detections(np.float32([[5, x, 5, x]]), np.float32([0.5]), np.array([12]))
    text = to_voc({"a": found})["dog"]
    assert text == "a 0.500000 1.07 6.00 0.06 5.00\n"
    (tmp_path / "comp3_det_test_dog.txt").write_text(text)
    same(read_voc(tmp_path)["a"], found)


def test_classes_without_a_file_have_no_detections(tmp_path):
    (tmp_path / "comp3_det_test_dog.txt").write_text("\na 0.5 1 2 3 4\n")
    (tmp_path / "comp3_det_test_cat.txt").write_text("")
    (tmp_path / "notes.txt").write_text("no detections")
    (found,) = read_voc(tmp_path).values()
    assert found.classes.tolist() == [12]


def test_files_of_unknown_or_duplicate_classes_are_reported(tmp_path):
    for name in ("comp3_det_test_dog.txt", "comp3_det_test_Cat.txt"):
        (tmp_path / name).write_text("a 0.5 1 2 3 4\n")
    with pytest.raises(PicanetError, match="Cat.txt: 'Cat' is not a class of VOC"):
        read_voc(tmp_path)
    (tmp_path / "comp3_det_test_Cat.txt").rename(tmp_path / "dog.txt")
    with pytest.raises(
        PicanetError, match="comp3_det_test_dog.txt also has the class d"
    ):
        read_voc(tmp_path)


def test_binary_files_are_reported(tmp_path):
    for name in ("comp3_det_test_dog.txt", "all.json"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PicanetError, match="dog.txt, line 1 must be .*: 1 words"):
        read_voc(tmp_path)
    with pytest.raises(PicanetError, match="Cannot read .*all.json"):
        read_coco(tmp_path / "all.json")


def test_folder_without_detections_is_reported(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(PicanetError, match="comp3_det_test_person"):
        read_voc(tmp_path)
