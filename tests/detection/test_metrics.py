"""Average precision, against cases that are worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from picanet_tf.detection.metrics import DetectionMetrics, iou


def detections(*rows):
    rows = np.reshape(rows, (-1, 6)).astype(np.float64)
    return SimpleNamespace(
        boxes=rows[:, :4], scores=rows[:, 4], classes=rows[:, 5].astype(int)
    )


A, B, FAR = (0, 0, 10, 10), (20, 20, 30, 30), (50, 50, 60, 60)


def score(found, boxes, difficult=None):
    metrics = DetectionMetrics()
    metrics.update("k", detections(*found), boxes, [1] * len(boxes), difficult)
    return metrics.result()


@pytest.mark.parametrize(
    "found, difficult, eleven, area",
    [
        ([(*A, 0.9, 1), (*B, 0.8, 1)], None, 1, 1),
        ([], None, 0, 0),
        # Recall 1/2 at precision 1: the points 0 to 0.5 are six.
        ([(*A, 0.9, 1)], None, 6 / 11, 1 / 2),
        # Wrong, right, right: precision 0, 1/2, 2/3.
        ([(*FAR, 0.9, 1), (*A, 0.8, 1), (*B, 0.7, 1)], None, 2 / 3, 2 / 3),
        # A second one on the same object is wrong: 1, 1/2, 2/3.
        ([(*A, 0.9, 1), (*A, 0.8, 1), (*B, 0.7, 1)], None, (6 + 5 * 2 / 3) / 11, 5 / 6),
        # B is difficult: not missed, and two on it are not wrong.
        ([(*B, 0.9, 1), (*B, 0.8, 1), (*A, 0.7, 1)], [0, 1], 1, 1),
        # Another class finds nothing.
        ([(*A, 0.9, 2)], None, 0, 0),
    ],
)
def test_average_precision_matches_values_computed_by_hand(
    found, difficult, eleven, area
):
    result = score(found, [A, B], difficult)
    assert result.mean_ap == pytest.approx(eleven)
    assert result.mean_ap_area == pytest.approx(area)
    assert np.isnan(result.ap[1:]).all()


def test_overlap_of_exactly_one_half_counts():
    assert iou([A], [(0, 0, 10, 5)])[0, 0] == 0.5
    assert score([(0, 0, 10, 5, 1, 1)], [A]).mean_ap == 1
    assert score([(0, 0, 10, 4.9, 1, 1)], [A]).mean_ap == 0


def test_duplicate_image_is_an_error():
    metrics = DetectionMetrics()
    metrics.update("k", detections(), [A], [1])
    with pytest.raises(ValueError, match="'k' was already added"):
        metrics.update("k", detections(), [A], [1])
