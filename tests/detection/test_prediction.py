"""From a network's outputs to boxes in pixels, pictures and files."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.voc import VOC_CLASSES, colour_of
from picanet_tf.detection import build_model, prediction
from picanet_tf.detection.default_boxes import BOXES, default_boxes, map_sides
from picanet_tf.detection.rendering import collect, draw
from picanet_tf.detection.results import Detections, read_coco, read_voc
from picanet_tf.drawing.pixels import Pixel, pick_ranks
from picanet_tf.inference import AttentionModel, KerasModel
from picanet_tf.tasks import get_spec, get_task

DOG, CAT = VOC_CLASSES.index("dog"), VOC_CLASSES.index("cat")
SIDE = 64
SPEC, TASK = get_spec("detection"), get_task("detection")


def heads_of(*found) -> np.ndarray:
    """Raw heads [1, A, 25] that say background, but for (default box, class, logit)."""
    heads = np.zeros([1, len(default_boxes(SIDE)), 25], np.float32)
    heads[..., 4] = 20
    for box, label, logit in found:
        heads[0, box, 4 + label] = logit
    return heads


def test_boxes_are_in_pixels_and_sorted_by_score():
    # Of the second map's first positions: inside the image, far from one another.
    start = map_sides(SIDE)[0] ** 2 * BOXES[0]
    middle = start + (2 * map_sides(SIDE)[1] + 2) * BOXES[1]
    heads = heads_of((start, CAT, 21.0), (middle, DOG, 22.0))
    rows = prediction.pack_detections(tf.constant(heads), SIDE)
    found = SPEC.postprocess(rows[0], (100, 200), SIDE)
    assert [found.name(0), found.name(1)] == ["dog 0.88", "cat 0.73"]
    np.testing.assert_allclose(
        found.scores, [1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1))], atol=1e-4
    )
    for number, box in enumerate((middle, start)):
        cy, cx, height, width = default_boxes(SIDE)[box]
        corners = [cy - height / 2, cx - width / 2, cy + height / 2, cx + width / 2]
        wanted = np.clip(corners, 0, 1) * [100, 200, 100, 200]
        np.testing.assert_allclose(found.boxes[number], wanted, atol=1e-3)


def test_no_detections_give_empty_results():
    rows = prediction.pack_detections(heads_of(), SIDE)
    found = SPEC.postprocess(rows[0], (10, 20), SIDE)
    assert len(found) == 0 and found.boxes.shape == (0, 4)
    image = np.full([10, 20, 3], 7, np.uint8)
    np.testing.assert_array_equal(draw(image, found, 0.0), image)
    assert collect("json", {"a": found}) == {"detections.json": "[]\n"}


def test_objectness_is_where_the_default_box_is():
    sides = map_sides(SIDE)
    position = 3 * sides[0] + 5
    heads = heads_of((position * BOXES[0] + 1, DOG, 20.0))
    objectness = prediction.objectness(tf.constant(heads), SIDE).numpy()
    assert objectness.shape == (1, sides[0], sides[0], 1)
    assert objectness.max() == objectness[0, 3, 5, 0] == pytest.approx(0.5, abs=1e-4)
    # A coarser map's covers all finer positions under it.
    first = sides[0] ** 2 * BOXES[0]
    heads = heads_of((first, DOG, 20.0))
    objectness = prediction.objectness(tf.constant(heads), SIDE).numpy()[0, ..., 0]
    np.testing.assert_array_equal(np.argwhere(objectness > 0.4).max(axis=0), [1, 1])


def some() -> Detections:
    return Detections(
        np.float32([[10, 20, 50, 60], [0, 0, 30, 90], [5, 5, 6, 6]]),
        np.float32([0.9, 0.4, 0.1]),
        np.array([DOG, CAT, CAT]),
    )


def test_default_query_pixels_are_centres_of_confident_boxes():
    pixels = TASK.default_query_pixels(np.zeros([60, 100], np.float32), some())
    assert pixels == {
        "box 1: dog 0.90": Pixel(40, 30),
        "box 2: cat 0.40": Pixel(45, 15),
    }
    none = some().above(0.95)
    assert set(TASK.default_query_pixels(np.eye(8, dtype=np.float32), none)) == {
        "foreground",
        "background",
    }


def test_box_centers_cover_all_boxes():
    boxes = np.float32([[0, 10, 4, 21], [59.9, 99.8, 60, 100]])
    found = Detections(boxes, np.float32([0.5, 0.2]), np.array([DOG, CAT]))
    objects = TASK.box_centers(found, (60, 100))
    assert objects == {
        "box 1: dog 0.50": Pixel(15, 2),
        "box 2: cat 0.20": Pixel(99, 59),
    }
    assert pick_ranks(objects, [2], "a.jpg") == {"box 2: cat 0.20": Pixel(99, 59)}
    with pytest.raises(PicanetError, match=r"`box` 3: a.jpg has 2 boxes"):
        pick_ranks(objects, [1, 3], "a.jpg")


def test_only_boxes_above_the_threshold_are_drawn():
    image = np.zeros([100, 120, 3], np.uint8)
    picture = draw(image, some(), 0.5)
    assert tuple(picture[50 - 1, 40]) == colour_of(DOG)  # its lower edge
    assert tuple(picture[30, 40]) == (0, 0, 0)  # its middle
    assert not (picture == colour_of(CAT)).all(axis=-1).any()
    assert (draw(image, some(), 0.3) == colour_of(CAT)).all(axis=-1).any()


def test_files_of_detections_can_be_read_back(tmp_path):
    for form in SPEC.collected_formats:
        for name, text in SPEC.collect(form, {"a": some()}).items():
            (tmp_path / name).write_text(text)
    for back in (read_coco(tmp_path / "detections.json"), read_voc(tmp_path)):
        np.testing.assert_allclose(back["a"].boxes, some().boxes, atol=0.01)
        np.testing.assert_array_equal(back["a"].classes, some().classes)
    assert len(json.loads((tmp_path / "detections.json").read_text())) == 3


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(1)
    return build_model("478LAP_910GAP", SIDE, width=1 / 32)


def test_a_network_predicts_and_shows_its_attention(network):
    model = KerasModel(network)
    photos = np.random.default_rng(0).integers(0, 256, (3, 40, 70, 3), np.uint8)
    together, alone = model.predict(photos, 2), model.predict(photos[2])
    np.testing.assert_allclose(together[2].scores, alone.scores, atol=1e-5)
    assert len(alone) and (alone.boxes.min(axis=0) >= 0).all()
    assert (alone.boxes.max(axis=0) <= [40, 70, 40, 70]).all()
    assert (np.diff(alone.scores) <= 0).all()
    assert model.spec.formats == ("boxes",)
    assert model.spec.collected_formats == ("json", "voc")
    assert model.render("boxes", photos[2], alone, 0.0).size == (70, 40)

    maps = AttentionModel(model).predict(photos[2])
    assert maps.foreground.shape == (40, 70) and set(maps.attention) == {4, 7, 8, 9, 10}
    assert next(iter(maps.query_pixels)).startswith("box 1: ")
    assert len(maps.box_centers) == len(alone)
    assert set(maps.query_pixels.items()) <= set(maps.box_centers.items())
