"""SSD's augmentation: boxes stay inside, keep an area, and go with the picture."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.augment_boxes import mirror, pad, train_objects

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
