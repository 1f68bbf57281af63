"""SSD's augmentation: boxes stay inside, keep an area, and go with the picture."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline import augment_boxes
from data_pipeline.augment_boxes import choose_view, mirror, pad_objects

SIDE = 32


@st.composite
def scenes(draw):
    height, width = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    rows = []
    for _ in range(draw(st.integers(0, 4))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        bottom = draw(st.integers(top + 1, height))
        right = draw(st.integers(left + 1, width))
        rows.append([top / height, left / width, bottom / height, right / width,
                     len(rows) + 1, draw(st.integers(0, 1))])  # fmt: skip
    return height, width, np.reshape(rows, (-1, 6)).astype(np.float32)


@settings(max_examples=80, deadline=None)
@given(scenes(), st.integers(0, 2**31 - 1))
def test_boxes_stay_inside_with_an_area_and_their_labels(scene, seed):
    height, width, objects = scene
    image = tf.zeros([height, width, 3], tf.uint8)
    view, found = augment_boxes.augment_boxes(
        image, tf.constant(objects), image_size=SIDE, seed=tf.constant([seed, 1])
    )
    assert view.shape == (SIDE, SIDE, 3) and found.shape == (128, 6)
    assert view.numpy().min() >= 0 and view.numpy().max() <= 255
    found = found.numpy()
    kept = found[:, 4] > 0
    assert (found[~kept] == 0).all()
    boxes = found[kept, :4]
    assert (boxes >= 0).all() and (boxes <= 1).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    # Each row is one of the image's objects, none comes twice, and not all are lost.
    pairs = [tuple(row) for row in found[kept, 4:]]
    assert set(pairs) <= {tuple(row) for row in objects[:, 4:]}
    assert len(set(pairs)) == len(pairs)
    assert bool(pairs) == bool(len(objects))


def test_mirroring_moves_boxes_and_leaves_padding():
    image = tf.reshape(tf.range(12.0), [2, 2, 3])
    objects = pad_objects(tf.constant([[0.1, 0.2, 0.5, 0.6, 7, 1]]))
    turned, found = mirror(image, objects, tf.constant(True))
    np.testing.assert_array_equal(turned, image[:, ::-1])
    np.testing.assert_allclose(found[0], [0.1, 0.4, 0.5, 0.8, 7, 1], rtol=1e-6)
    assert (found[1:].numpy() == 0).all()


SEEDS = 300
# Label n has channel n - 1 of the colour to itself. By (height, width): the boxes of
# labels 1, 2 and 3, ymin, xmin, ymax, xmax in pixels: apart, touching, at the edges.
SCENES = {
    (40, 60): [(5, 3, 17, 25), (5, 25, 33, 44), (30, 50, 40, 60)],
    (90, 33): [(0, 0, 90, 11), (10, 12, 13, 33), (60, 20, 88, 31)],
}


@pytest.fixture(
    scope="module", params=SCENES, ids=lambda size: "x".join(map(str, size))
)
def views(request):
    """The boxes in pixels, and of each seed a (painted view, ramps, objects).

    A ramp pixel holds its own place in the image, y and x, and 255, which the colour
    around the image has not.
    """
    (height, width), boxes = request.param, SCENES[request.param]
    painted = np.zeros((height, width, 3), np.float32)
    for channel, (top, left, bottom, right) in enumerate(boxes):
        painted[top:bottom, left:right, channel] = 255
    ramps = np.full((height, width, 3), 255, np.float32)
    ramps[..., 0], ramps[..., 1] = np.mgrid[:height, :width] + 0.5
    objects = np.array(
        [(*box / np.array([height, width] * 2), label, label == 2)
         for label, box in enumerate(boxes, 1)], np.float32,
    )  # fmt: skip

    @tf.function
    def view(image, number):
        seed = tf.stack([number, 5])
        return augment_boxes.augment_boxes(
            image, tf.constant(objects), image_size=SIDE, seed=seed
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augment_boxes, "distort", lambda image, seed: image)
        found = []
        for number in tf.range(SEEDS):
            picture, kept = view(tf.constant(painted), number)
            places, _ = view(tf.constant(ramps), number)
            kept = kept.numpy()
            found.append((picture.numpy(), places.numpy(), kept[kept[:, 4] > 0]))
    return np.array(boxes), found


def test_boxes_move_with_their_pixels(views):
    """To the pixel: bilinear, halfway between two colours is the edge.

    And the mean around the image is below half.
    """
    _, found = views
    middles, exact, slivers = (np.arange(SIDE) + 0.5) / SIDE, 0, 0
    for picture, _, objects in found:
        for *box, label, difficult in objects:
            assert difficult == (label == 2)
            colour = picture[..., int(label) - 1]
            whole = colour.max() > 254  # a pixel of it is between no two colours
            exact, slivers = exact + whole, slivers + (not whole)
            slack = 1e-5 if whole else 1 / SIDE
            for axis in (0, 1):
                seen = middles[colour.max(axis=1 - axis) > 127.5]
                first, last = box[axis], box[axis + 2]
                assert (seen > first - slack).all() and (seen < last + slack).all()
                inside = (middles > first + 1e-5) & (middles < last - 1e-5)
                assert not whole or len(seen) >= inside.sum()
    assert exact > 4 * slivers


def test_objects_are_lost_only_with_their_centres(views):
    boxes, found = views
    middles, lost = (boxes[:, :2] + boxes[:, 2:]) / 2, 0
    for _, places, objects in found:
        inside = places[..., 2] == 255
        first, last = (
            places[inside][:, :2].min(axis=0),
            places[inside][:, :2].max(axis=0),
        )
        # The image reaches half a pixel beyond the middles of the outer ones.
        counts = np.array([inside.any(axis=1).sum(), inside.any(axis=0).sum()])
        half = (last - first) / np.maximum(counts - 1, 1) / 2 + 0.5
        for label, middle in enumerate(middles, 1):
            if label in objects[:, 4]:
                assert ((middle > first - half) & (middle < last + half)).all()
            else:
                lost += 1
                assert not ((middle > first) & (middle < last)).all()
        assert len(objects) > 0
    assert lost > 50


def test_half_of_the_views_are_mirrored(views):
    _, found = views
    mirrored, margins = [], 0
    for _, places, _ in found:
        inside = places[..., 2] == 255
        x = np.where(inside, places[..., 1], np.nan)
        if inside.any(axis=0).sum() > 1:
            steps = np.diff(x[inside.any(axis=1)], axis=1)
            mirrored.append(np.nansum(steps) < 0)
        # Beyond the image there is ImageNet's mean.
        margins += not inside.all()
        assert (np.abs(places[~inside] - [123.68, 116.78, 103.94]) < 0.5).all()
    assert 0.38 < np.mean(mirrored) < 0.62
    # Half are expanded, and some of these are cropped to the image.
    assert 0.25 < margins / SEEDS < 0.5


def test_full_length_crops_are_as_frequent_as_in_caffe():
    """Caffe draws an aspect a in 0.5..2 and clips it to s^2..1/s^2, s in 0.3..1.

    So a crop is as wide as the view where a >= 1/s^2, and as high where a <= s^2; the
    integrals over s are (3 - 2 * 2^0.5) / 1.05 and (2^0.5 / 6 - 1 / 6) / 1.05.
    """
    canvas = tf.constant([-2000, 1000, 8000, 11_000])
    windows = np.concatenate(
        [augment_boxes._draw_crops(canvas, [seed, 5]) for seed in range(100)]
    )
    sides = (windows[..., 2:] - windows[..., :2]).reshape(-1, 2)
    assert sides.min() >= 0.3 * 0.5**0.5 * 10_000 - 1 and sides.max() == 10_000
    high, wide = (sides == 10_000).mean(axis=0)
    assert wide == pytest.approx((3 - 2 * 2**0.5) / 1.05, abs=0.01)
    assert high == pytest.approx((2**0.5 - 1) / 6 / 1.05, abs=0.01)


def test_crop_areas_have_the_expected_distribution(monkeypatch):
    """Of an object that fills the image, a crop's overlap is its share of the area.

    Of the whole, of any crop and of one with each least overlap, each is taken once in
    seven. A crop's area is the square of a number that is even over 0.3 to 1.
    """
    monkeypatch.setattr(augment_boxes, "LARGEST_EXPANSION", 1.0)
    objects = tf.constant([[0, 0, 1, 1, 1, 0]], tf.float32)

    @tf.function
    def window(number):
        return choose_view(objects, 400, 500, tf.stack([number, 3])).window

    windows = np.stack([window(number) for number in tf.range(1000)]).astype(float)
    height, width = (windows[:, 2:] - windows[:, :2]).T
    areas, aspects = height * width / 200_000, width / height * 400 / 500
    assert windows.min() >= 0 and (windows.max(axis=0) <= [400, 500, 400, 500]).all()
    assert 0.49 < aspects.min() < 0.6 and 1.7 < aspects.max() < 2.02
    for share in (0.12, 0.3, 0.5, 0.7, 0.9, 0.99):
        lows = [max(least, 0.09) ** 0.5 for least in (0, 0.1, 0.3, 0.5, 0.7, 0.9)]
        even = [min((1 - share**0.5) / (1 - low), 1) for low in lows]
        assert np.mean(areas >= share - 0.003) == pytest.approx(
            (1 + sum(even)) / 7, abs=0.06
        )
