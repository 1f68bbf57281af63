"""Matching and targets against loops as Caffe's `MatchBBox` goes, and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.detection.default_boxes import decode, default_boxes, iou, to_corners
from picanet_tf.detection.targets import encode_targets, match


def objects_of(*images, rows=12):
    """float32 [N, rows, 6] of lists of (ymin, xmin, ymax, xmax, label)."""
    objects = np.zeros((len(images), rows, 6), np.float32)
    for image, given in zip(objects, images, strict=True):
        for row, values in zip(image, given, strict=False):
            row[:5] = values
    return objects


def random_objects(rng, count):
    lower = rng.uniform(0, 0.8, (count, 2))
    upper = np.minimum(lower + rng.uniform(0.02, 0.7, (count, 2)), 1)
    return np.concatenate([lower, upper, rng.integers(1, 21, (count, 1))], axis=1)


def overlap(a, b):
    height = min(a[2], b[2]) - max(a[0], b[0])
    width = min(a[3], b[3]) - max(a[1], b[1])
    if height <= 0 or width <= 0:
        return 0.0
    common = height * width
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return common / (sum(areas) - common)


def match_by_loops(overlaps):
    """[objects, boxes] -> number of the object of each box, or -1."""
    count, boxes = overlaps.shape
    matches = np.full(boxes, -1)
    waiting = set(range(count))
    while waiting:
        best = (0.0, None, None)
        for i in sorted(waiting):
            for j in range(boxes):
                if matches[j] < 0 and overlaps[i, j] > best[0]:
                    best = (overlaps[i, j], i, j)
        if best[1] is None:
            break
        matches[best[2]] = best[1]
        waiting.remove(best[1])
    for j in range(boxes):
        if matches[j] < 0 and count and overlaps[:, j].max() >= 0.5:
            matches[j] = overlaps[:, j].argmax()
    return matches


@pytest.mark.parametrize("seed", range(4))
def test_matching_equals_naive_loops(seed):
    rng = np.random.default_rng(seed)
    corners = to_corners(default_boxes(64)).numpy()
    images = [random_objects(rng, count) for count in (1, 0, 12, 5)]
    # Alike objects all want the same boxes.
    images[3][1:4] = images[3][0]
    objects = objects_of(*images)
    found = match(objects, corners).numpy()
    overlaps = iou(objects[..., :4], corners).numpy()
    for n, image in enumerate(images):
        for i in range(min(len(image), 3)):
            assert overlaps[n, i, 37] == pytest.approx(
                overlap(objects[n, i], corners[37]), abs=1e-6
            )
        expected = match_by_loops(overlaps[n, : len(image)])
        np.testing.assert_array_equal(found[n], expected)
        assert set(range(len(image))) <= set(found[n])


def test_each_of_two_alike_objects_gets_a_box():
    """Under 0.5 both have only what is forced: the best box, and the second best."""
    thin = (0.0, 0.48, 1.0, 0.5)
    found = match(
        objects_of([(*thin, 1), (*thin, 2)]), to_corners(default_boxes(64))
    ).numpy()[0]
    (first,), (second,) = (np.flatnonzero(found == i) for i in (0, 1))
    overlaps = iou([thin], to_corners(default_boxes(64))).numpy()[0]
    assert overlaps.max() < 0.5
    order = np.argsort(-overlaps, kind="stable")
    assert (first, second) == tuple(order[:2])


def test_an_object_is_forced_where_another_overlaps_more_than_half():
    """A small object in a large one keeps its best box."""
    corners = np.float32([[0, 0, 0.5, 1], [0, 0, 1, 1]])
    objects = objects_of([(0, 0, 0.5, 1, 4), (0, 0, 0.51, 1, 5)])
    # Both want box 0; object 0 by more. Object 1 gets box 1.
    np.testing.assert_array_equal(match(objects, corners), [[0, 1]])


def test_objects_without_area_get_no_box():
    objects = objects_of([(0.5, 0.5, 0.5, 0.9, 3), (0.3, 0.3, 0.3, 0.3, 4)])
    targets = encode_targets(objects, {"locations": np.zeros([1, 390, 4])}, 64)
    assert not targets["scores"].numpy().any()
    assert not targets["locations"].numpy().any()


def test_targets_decode_to_the_objects():
    defaults = default_boxes(64)
    images = [random_objects(np.random.default_rng(5), count) for count in (3, 0, 7)]
    objects = objects_of(*images)
    targets = encode_targets(objects, {"locations": np.zeros([3, 390, 4])}, 64)
    assert targets["locations"].dtype == tf.float32
    assert targets["scores"].dtype == tf.int32
    matches = match(objects, to_corners(defaults)).numpy()
    boxes = decode(targets["locations"][..., :4], defaults).numpy()
    for n in range(3):
        for a, number in enumerate(matches[n]):
            assert targets["locations"][n, a, 4] == (number >= 0)
            if number < 0:
                assert targets["scores"][n, a] == 0
                assert not targets["locations"][n, a].numpy().any()
            else:
                assert targets["scores"][n, a] == objects[n, number, 4]
                np.testing.assert_allclose(
                    boxes[n, a], objects[n, number, :4], atol=1e-5
                )


def test_offsets_by_hand():
    """An object that is conv11_2's second box, moved a tenth of its side down."""
    side = (264 * 315) ** 0.5 / 300
    low, high = 0.5 - side / 2, 0.5 + side / 2
    box = (low + 0.1 * side, low, high + 0.1 * side, high)
    targets = encode_targets(
        objects_of([(*box, 7)]), {"locations": np.zeros([1, 8732, 4])}, 300
    )
    assert targets["scores"][0, 8729] == 7
    np.testing.assert_allclose(
        targets["locations"][0, 8729], [1, 0, 0, 0, 1], atol=1e-5
    )


@pytest.mark.parametrize("drop_remainder", [False, True])
def test_targets_are_encoded_in_a_graph_for_any_batch_size(drop_remainder):
    outputs = {"locations": np.zeros([1, 390, 4])}
    objects = objects_of(
        *[random_objects(np.random.default_rng(n), n) for n in range(6)], rows=128
    )
    expected = encode_targets(objects, outputs, 64)
    data = tf.data.Dataset.from_tensor_slices(objects).batch(2, drop_remainder)
    found = list(data.map(lambda batch: encode_targets(batch, outputs, 64)))
    for name, value in expected.items():
        parts = np.concatenate([part[name] for part in found])
        np.testing.assert_allclose(parts, value, atol=1e-6)


def test_another_image_size_is_an_error():
    with pytest.raises(ValueError, match="image_size=300 has 8732 locations"):
        encode_targets(objects_of([]), {"locations": np.zeros([1, 390, 4])}, 300)
