"""SSD's augmentation: boxes stay inside, keep an area, and go with the picture."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline import augment_boxes
from data_pipeline.augment_boxes import distort, mirror, pad, train_objects

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
    view, found = train_objects(
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
    objects = pad(tf.constant([[0.1, 0.2, 0.5, 0.6, 7, 1]]))
    turned, found = mirror(image, objects, tf.constant(True))
    np.testing.assert_array_equal(turned, image[:, ::-1])
    np.testing.assert_allclose(found[0], [0.1, 0.4, 0.5, 0.8, 7, 1], rtol=1e-6)
    assert (found[1:].numpy() == 0).all()


def test_the_picture_moves_with_its_boxes(monkeypatch):
    """Each object is a rectangle of its own colour: it is found where its box says."""
    monkeypatch.setattr(augment_boxes, "distort", lambda image, seed: image)
    side, height, width = 96, 120, 160
    colours = {1: (250, 10, 10), 2: (10, 250, 10), 3: (10, 10, 250)}
    edges = np.array([[10, 5, 60, 50], [30, 70, 110, 150], [85, 10, 115, 60]])
    picture = np.full([height, width, 3], 120, np.uint8)
    for colour, (top, left, bottom, right) in zip(colours.values(), edges, strict=True):
        picture[top:bottom, left:right] = colour
    image, boxes = tf.constant(picture), edges / [height, width, height, width]
    objects = tf.constant(np.column_stack([boxes, [1, 2, 3], [0, 0, 0]]), tf.float32)
    function = tf.function(
        lambda seed: train_objects(image, objects, image_size=side, seed=seed)
    )
    seen, whole = 0, 0
    for seed in range(150):
        view, found = (one.numpy() for one in function(tf.constant([seed, 7])))
        for row in found[found[:, 4] > 0]:
            wanted = row[:4] * side
            if min(wanted[2:] - wanted[:2]) < 4:  # the colour is all edge
                continue
            off = np.abs(view - colours[int(row[4])]).max(axis=-1)
            there = np.argwhere(off < 60)
            corners = np.concatenate([there.min(axis=0), there.max(axis=0) + 1])
            np.testing.assert_allclose(corners, wanted, atol=1.5, err_msg=f"{seed}")
            seen += 1
        whole += (found[:, 4] > 0).sum() == 3
    assert seen > 150 and 20 < whole < 130


@pytest.mark.parametrize("seed", range(12))
def test_colours_are_those_of_a_naive_distortion(seed):
    """Pixel by pixel with `colorsys`, of the same draws."""
    key = tf.constant([seed, 3])
    image = np.random.default_rng(seed).uniform(0, 255, (4, 5, 3))
    draws = tf.random.stateless_uniform([4], key).numpy().astype(np.float64)
    coins = tf.random.stateless_uniform([5], tf.random.fold_in(key, 1)).numpy() < 0.5
    brightness = (draws[0] * 64 - 32) * coins[0]
    contrast = 0.5 + draws[1] if coins[1] else 1
    saturation = 0.5 + draws[2] if coins[2] else 1
    turn = (draws[3] * 36 - 18) / 180 * coins[3]
    wanted = np.clip(image + brightness, 0, 255)
    if coins[4]:
        wanted = np.clip(wanted * contrast, 0, 255)
    for place in np.ndindex(4, 5):
        hue, grey, value = colorsys.rgb_to_hsv(*wanted[place] / 255)
        turned = (hue + turn) % 1, min(1, grey * saturation), value
        wanted[place] = np.multiply(colorsys.hsv_to_rgb(*turned), 255)
    if not coins[4]:
        wanted = np.clip(wanted * contrast, 0, 255)
    found = distort(tf.constant(image, tf.float32), key)
    np.testing.assert_allclose(found, wanted, atol=0.01)


def test_each_distortion_happens_to_half_of_the_images():
    """Grey stays grey; brightness adds up to 32, contrast takes from half to 3/2."""
    grey = tf.fill([1, 1, 3], 100.0)
    function = tf.function(lambda seed: distort(grey, seed)[0, 0])
    values = np.array([function(tf.constant([seed, 0])) for seed in range(600)])
    np.testing.assert_allclose(values, values[:, :1].repeat(3, axis=1), atol=1e-3)
    change = values[:, 0]
    assert change.min() >= 68 * 0.5 and change.max() <= 132 * 1.5
    unchanged = np.mean(np.abs(change - 100) < 1e-3)
    assert 0.2 < unchanged < 0.3  # neither of the two
    red = tf.constant([[[200.0, 100.0, 100.0]]])
    function = tf.function(lambda seed: distort(red, seed)[0, 0])
    values = np.array([function(tf.constant([seed, 0])) for seed in range(600)])
    kept = np.mean(np.abs(values[:, 1] - values[:, 2]) < 1e-2)  # the hue
    assert 0.45 < kept < 0.55
