"""Detections that another method left on disk, given to the images of a data set."""

import json

import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.detection.results import Detections
from picanet_tf.detection.sources import by_key, nothing, read


def detections(score):
    """One detection, recognizable by its score."""
    return Detections(np.float32([[0, 0, 9, 9]]), np.float32([score]), np.array([12]))


@pytest.mark.parametrize(
    "image, key",
    [("a", "a"), ("000001", "000001"), (1, "000001"), (2008000002, "2008_000002")]
    + [(7, "7")],
)
def test_images_are_matched_by_name_or_number(image, key):
    keys = ["000001", "2008_000002", "7", "a"]
    found = by_key({image: detections(0.5)}, keys)
    assert list(found) == keys
    assert {
        name: each.scores.tolist() for name, each in found.items() if len(each)
    } == {key: [0.5]}


def test_images_without_detections_have_none():
    (none,) = by_key({}, ["a"]).values()
    assert none.boxes.shape == (0, 4) and len(none) == len(none.classes) == 0
    assert nothing().boxes.dtype == np.float32


@pytest.mark.parametrize(
    "images, message",
    [
        (["b"], "dets.json: detections on the image 'b', which is not in the data set"),
        (["1"], "the image '1', which is not in the data set"),  # a word is no number
        ([3], "the image 3, which is not in the data set"),
        # Not an image whose name has no number.
        ([-1], "the image -1, which is not in the data set"),
        ([20], "the image 20, which could be 0020 or 00_20"),
        ([1, "000001"], "the image '000001', which is 000001, like another one"),
        (["000001", 1], "the image 1, which is 000001, like another one"),
    ],
)
def test_images_that_the_data_set_lacks_are_reported(images, message):
    keys = ["a", "000001", "0020", "00_20"]
    with pytest.raises(PicanetError, match=message):
        by_key({image: detections(0.5) for image in images}, keys, "dets.json")


def test_a_file_is_coco_and_a_folder_is_voc(tmp_path):
    entry = {"image_id": 4, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.5}
    (tmp_path / "all.json").write_text(json.dumps([entry]))
    (tmp_path / "comp3_det_test_dog.txt").write_text("k 0.25 2 3 4 6\n")
    found = read(tmp_path / "all.json")[4]
    assert found.boxes.tolist() == [[2, 1, 6, 4]] and found.classes.tolist() == [2]
    found = read(tmp_path)["k"]
    assert found.boxes.tolist() == [[2, 1, 6, 4]] and found.classes.tolist() == [12]
    with pytest.raises(PicanetError, match="nowhere: no such file or folder"):
        read(tmp_path / "nowhere")
