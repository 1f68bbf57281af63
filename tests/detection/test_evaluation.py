"""Evaluation of detections: cases with known answers, COCO's side, files of others."""

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from picanet_tf.detection import evaluation, sources
from picanet_tf.detection.classes import OBJECT_CLASSES
from picanet_tf.detection.evaluation import Truth
from picanet_tf.detection.results import Detections
from picanet_tf.errors import PicanetError

A, B, FAR = (0, 0, 100, 100), (120, 120, 220, 220), (250, 250, 300, 300)


def found(*rows):
    """Rows of a box, a score and a class."""
    rows = np.reshape([(*box, score, label) for box, score, label in rows], (-1, 6))
    return Detections(
        np.float32(rows[:, :4]), np.float32(rows[:, 4]), rows[:, 5].astype(np.int64)
    )


def sample(name, *objects, image=None):
    """An image of 300 x 300 pixels with (box, label, difficult)."""
    boxes, labels, difficult = zip(*objects, strict=True) if objects else ((), (), ())
    truth = Truth(
        np.float32(boxes).reshape(-1, 4),
        np.array(labels, np.int64),
        np.array(difficult, bool),
        (300, 300),
    )
    return SimpleNamespace(name=name, mask=truth, image=image)


def test_perfect_detections():
    pairs = [
        (sample("a", (A, 1, 0), (B, 2, 0)), found((A, 0.9, 1), (B, 0.4, 2))),
        (sample("b", (A, 2, 0)), found((A, 0.8, 2))),
        (sample("c"), found()),
    ]
    result = evaluation.evaluate(pairs)
    assert result.scores.mean_ap == result.scores.mean_ap_area == 1
    assert (result.scores.images, result.scores.difficult) == (3, 0)
    for name in ("coco_map", "coco_map_50", "coco_map_75", "coco_map_large"):
        assert result.coco[name] == pytest.approx(1)
    assert math.isnan(result.coco["coco_map_small"])
    rows = [row[2:] for row in result.rows]
    assert rows == [(2, 2, 2), (1, 1, 1), (0, 0, 0)]
    assert [row.ap for row in result.rows[:2]] == [1, 1]
    assert math.isnan(result.rows[2].ap)


def test_coco_asks_for_more_overlap_than_voc():
    """An overlap of 5/8 passes three of the ten thresholds from 0.50 to 0.95."""
    result = evaluation.evaluate(
        [(sample("a", (A, 1, 0)), found(((0, 0, 100, 62.5), 1, 1)))]
    )
    assert result.scores.mean_ap == 1
    assert result.coco["coco_map"] == pytest.approx(0.3)
    assert result.coco["coco_map_50"] == pytest.approx(1)
    assert result.coco["coco_map_75"] == 0


def test_difficult_objects_are_neither_missed_nor_wrong():
    missed = sample("a", (A, 1, 0), (B, 1, 1))
    result = evaluation.evaluate([(missed, found((B, 0.9, 1), (A, 0.8, 1)))])
    assert result.scores.mean_ap == 1 and result.scores.difficult == 1
    assert result.coco["coco_map"] == pytest.approx(1)
    assert result.rows[0][1:] == (1, 1, 2, 1)
    result = evaluation.evaluate([(missed, found((A, 0.8, 1)))])
    assert result.scores.mean_ap == 1 and result.coco["coco_map"] == pytest.approx(1)


def test_what_is_wrong_costs_both():
    """Wrong, then right: precision 1/2 at recall 1."""
    pairs = [(sample("a", (A, 3, 0)), found((FAR, 0.9, 3), (A, 0.8, 3)))]
    result = evaluation.evaluate(pairs)
    assert result.scores.mean_ap == pytest.approx(0.5)
    assert result.coco["coco_map_50"] == pytest.approx(0.5)


def test_the_worst_and_the_picked_are_kept():
    """Eight images, of which image k has k boxes ahead of the right one."""
    pairs = []
    for number in range(8):
        wrong = [(FAR, 0.9 - number / 100 - k / 1000, 1) for k in range(number)]
        image = np.full([400, 640, 3], number, np.uint8)
        one = sample(f"{number}", (A, 1, 0), image=image)
        pairs.append((one, found(*wrong, (A, 0.2, 1))))
    result = evaluation.evaluate(pairs, pick=[2])
    assert [row.ap for row in result.rows] == pytest.approx(
        [1 / (k + 1) for k in range(8)]
    )
    assert [each.name for each in result.worst] == ["7", "6", "5", "4", "3", "2"]
    (picked,) = result.picked
    assert picked.name == "2" and picked.score == pytest.approx(1 / 3)
    assert picked.image.shape == (200, 320, 3) and (picked.image == 2).all()
    assert (picked.truth != picked.prediction).any()


def test_the_whole_image_as_every_class():
    (box,) = {tuple(box) for box in evaluation.whole_image(sample("a").mask).boxes}
    assert box == (0, 0, 300, 300)
    whole = sample("a", ((0, 0, 300, 200), 7, 0))
    result = evaluation.evaluate([(whole, evaluation.whole_image(whole.mask))])
    assert result.scores.mean_ap == 1 and result.rows[0].detections == 20


def test_truth_of_a_record():
    objects = np.float32([[0.1, 0.2, 0.5, 1, 12, 1], [0, 0, 1, 0.5, 20, 0]])
    truth = evaluation.truth_of({"height": 50, "width": 200, "objects": objects})
    np.testing.assert_allclose(truth.boxes, [[5, 40, 25, 200], [0, 0, 50, 100]])
    assert truth.labels.tolist() == [12, 20] and truth.difficult.tolist() == [1, 0]
    assert truth.size == (50, 200)


def test_errors_name_the_image():
    with pytest.raises(PicanetError, match="no image to score"):
        evaluation.evaluate([])
    twice = [(sample("dog"), found())] * 2
    with pytest.raises(PicanetError, match="dog: .*came before"):
        evaluation.evaluate(twice)


def test_without_pycocotools_vocs_scores_are_left(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    result = evaluation.evaluate([(sample("a", (A, 1, 0)), found((A, 1, 1)))])
    assert result.coco == {} and result.scores.mean_ap == 1


def test_detections_of_a_file_find_their_images():
    one, other, third = (found((A, 1, label)) for label in (1, 2, 3))
    keys = ["000001", "2008_000002", "000010", "street"]
    given = {1: one, 2008000002: other, "street": third}
    taken = sources.by_key(given, keys)
    assert list(taken) == keys
    assert [taken[key].classes.tolist() for key in keys] == [[1], [2], [], [3]]
    for image in (7, "1", "2008000002"):
        with pytest.raises(PicanetError, match=f"boxes.json: .*{image!r}.*has not"):
            sources.by_key({image: one}, keys, "boxes.json")


def test_a_file_or_a_folder(tmp_path):
    (tmp_path / f"any_det_{OBJECT_CLASSES[0]}.txt").write_text("a 0.5 1 1 10 20\n")
    read = sources.read(tmp_path)
    np.testing.assert_array_equal(read["a"].boxes, [[0, 0, 20, 10]])
    with pytest.raises(PicanetError, match="nowhere.json: no such file or folder"):
        sources.read(tmp_path / "nowhere.json")
