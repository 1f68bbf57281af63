"""Default boxes compared with hand-computed ones; offsets both ways; overlaps."""

import math

import numpy as np
import pytest

from picanet_tf.detection.default_boxes import (
    BOXES,
    decode,
    default_boxes,
    encode,
    iou,
    map_sides,
    to_corners,
)


def test_number_and_sides_of_ssd300():
    assert map_sides(300) == (38, 19, 10, 5, 3, 1)
    assert BOXES == (4, 6, 6, 6, 4, 4)
    boxes = default_boxes(300)
    assert boxes.shape == (8732, 4)
    assert boxes.dtype == np.float32


# Of 300 pixels, by hand: (cy, cx, h, w). Each source's first row begins behind the
# 5,776, 2,166, 600, 150, 36 boxes of those before it.
BY_HAND = {
    # conv4_3, row 0, column 0: step 8, sides 30, sqrt(30 60), 30 / sqrt 2 and so on
    0: (4, 4, 30, 30),
    1: (4, 4, math.sqrt(1800), math.sqrt(1800)),
    2: (4, 4, 30 / math.sqrt(2), 30 * math.sqrt(2)),
    3: (4, 4, 30 * math.sqrt(2), 30 / math.sqrt(2)),
    # row 0, column 1; row 1, column 0; the last position, beyond the image's edge
    4: (4, 12, 30, 30),
    38 * 4: (12, 4, 30, 30),
    5775: (300, 300, 30 * math.sqrt(2), 30 / math.sqrt(2)),
    # fc7: step 16
    5776: (8, 8, 60, 60),
    5777: (8, 8, math.sqrt(60 * 111), math.sqrt(60 * 111)),
    5780: (8, 8, 60 / math.sqrt(3), 60 * math.sqrt(3)),
    5781: (8, 8, 60 * math.sqrt(3), 60 / math.sqrt(3)),
    # conv8_2: step 32, row 2, column 3
    7942 + (2 * 10 + 3) * 6: (80, 112, 111, 111),
    # conv9_2: step 64, the middle one
    8542 + 12 * 6 + 1: (160, 160, math.sqrt(162 * 213), math.sqrt(162 * 213)),
    # conv10_2: step 100, row 1, column 2
    8692 + 5 * 4: (150, 250, 213, 213),
    # conv11_2: the whole image
    8728: (150, 150, 264, 264),
    8729: (150, 150, math.sqrt(264 * 315), math.sqrt(264 * 315)),
    8730: (150, 150, 264 / math.sqrt(2), 264 * math.sqrt(2)),
    8731: (150, 150, 264 * math.sqrt(2), 264 / math.sqrt(2)),
}


@pytest.mark.parametrize("index", BY_HAND)
def test_boxes_match_values_computed_by_hand(index):
    np.testing.assert_allclose(
        default_boxes(300)[index] * 300, BY_HAND[index], rtol=2e-6
    )


def test_every_box_of_ssd300_equals_the_loops_of_the_release():
    """`PriorBoxLayer`'s arithmetic, in pixels, as its loops go."""
    expected = []
    for side, step, low, high, ratios in [
        (38, 8, 30, 60, [2]),
        (19, 16, 60, 111, [2, 3]),
        (10, 32, 111, 162, [2, 3]),
        (5, 64, 162, 213, [2, 3]),
        (3, 100, 213, 264, [2]),
        (1, 300, 264, 315, [2]),
    ]:
        for row in range(side):
            for column in range(side):
                at = [(row + 0.5) * step, (column + 0.5) * step]
                expected.append([*at, low, low])
                expected.append([*at, math.sqrt(low * high), math.sqrt(low * high)])
                for ratio in ratios:
                    for r in (ratio, 1 / ratio):
                        expected.append([*at, low / math.sqrt(r), low * math.sqrt(r)])
    np.testing.assert_allclose(default_boxes(300) * 300, expected, rtol=2e-6)


@pytest.mark.parametrize(
    ("size", "sides"),
    [(64, (8, 4, 2, 1, 1, 1)), (257, (33, 17, 9, 5, 3, 1)), (16, (2, 1, 1, 1, 1, 1))],
)
def test_boxes_of_other_image_sizes(size, sides):
    assert map_sides(size) == sides
    boxes = default_boxes(size)
    assert len(boxes) == sum(n * s * s for n, s in zip(BOXES, sides, strict=True))
    # Every position lies in the image, or half a stride beyond its edge.
    assert boxes[:, :2].min() > 0
    assert boxes[:, :2].max() < 1 + 32 / size


def test_centres_are_converted_to_corners():
    np.testing.assert_allclose(
        to_corners([[0.5, 0.4, 0.2, 0.6]]), [[0.4, 0.1, 0.6, 0.7]], rtol=1e-6
    )


def test_offsets_by_hand():
    """Half the default box's height down, its width east; e times as high."""
    defaults = np.array([[0.5, 0.5, 0.2, 0.1]])
    height, width = 0.2 * math.e, 0.1
    centre_y, centre_x = 0.5 + 0.1, 0.5 + 0.1
    box = [
        centre_y - height / 2,
        centre_x - width / 2,
        centre_y + height / 2,
        centre_x + width / 2,
    ]
    found = encode(np.array([box]), defaults)
    np.testing.assert_allclose(found, [[5, 10, 5, 0]], atol=1e-12)


def test_decoding_inverts_encoding():
    rng = np.random.default_rng(0)
    defaults = default_boxes(300)
    lower = rng.uniform(0, 0.7, (2, len(defaults), 2))
    boxes = np.concatenate([lower, lower + rng.uniform(0.05, 0.3, lower.shape)], -1)
    boxes = np.float32(boxes)
    np.testing.assert_allclose(
        decode(encode(boxes, defaults), defaults), boxes, atol=1e-5
    )
    zeros = np.zeros_like(boxes[0])
    np.testing.assert_allclose(decode(zeros, defaults), to_corners(defaults))


def test_overlaps_by_hand():
    a = [[0.0, 0.0, 0.4, 0.4], [0.5, 0.5, 0.5, 0.9], [0.0, 0.0, 0.0, 0.0]]
    b = [[0.0, 0.2, 0.4, 0.6], [0.0, 0.0, 0.4, 0.4], [0.4, 0.4, 1.0, 1.0]]
    np.testing.assert_allclose(
        iou(a, b), [[1 / 3, 1, 0], [0, 0, 0], [0, 0, 0]], atol=1e-6
    )


def test_overlaps_of_batches():
    rng = np.random.default_rng(1)
    lower = rng.uniform(0, 0.7, (3, 5, 2))
    a = np.concatenate([lower, lower + rng.uniform(0.05, 0.3, lower.shape)], -1)
    b = a[:, ::-1] + 0.05
    found = iou(a, b).numpy()
    assert found.shape == (3, 5, 5)
    for n in range(3):
        np.testing.assert_allclose(found[n], iou(a[n], b[n]))
    same = np.diagonal(iou(a, a).numpy(), axis1=1, axis2=2)
    np.testing.assert_allclose(same, 1)
