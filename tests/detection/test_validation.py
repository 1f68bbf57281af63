import numpy as np
import pytest

from picanet_tf.detection.default_boxes import default_boxes
from picanet_tf.detection.validation import DetectionValidation

SIZE = 64
OUTPUTS = {
    "locations": np.zeros([2, len(default_boxes(SIZE)), 4], np.float32),
    "scores": np.zeros([2, len(default_boxes(SIZE)), 21], np.float32),
}


def test_without_objects_there_is_no_score():
    """A score of 0 would be the best one of such a validation set."""
    validation = DetectionValidation(SIZE)
    validation.update(OUTPUTS, np.zeros([2, 3, 6], np.float32))
    name, value = validation.criterion(validation.result())
    assert name == "mean_ap" and np.isnan(value)
    assert (validation.images, validation.without_object) == (2, 2)
    # Difficult objects are objects, but none that counts.
    objects = np.zeros([2, 3, 6], np.float32)
    objects[0, 0] = 0.1, 0.1, 0.9, 0.9, 7, 1
    validation.update(OUTPUTS, objects)
    assert np.isnan(validation.result()["mean_ap"])
    assert (validation.images, validation.without_object) == (4, 3)
    objects[0, 0, 5] = 0
    validation.update(OUTPUTS, objects)
    assert validation.result()["mean_ap"] == pytest.approx(0, abs=0.2)
