"""Losses that are normalized over their batch."""

import numpy as np
import pytest

from picanet_tf.detection.losses import LocationLoss, ScoreLoss
from picanet_tf.segmentation.losses import SegmentationLoss


@pytest.mark.parametrize(
    "loss, truth, predicted",
    [
        (SegmentationLoss(), np.zeros([2, 3, 3]), np.ones([2, 3, 3, 4])),
        (LocationLoss(), np.zeros([2, 3, 5]), np.ones([2, 3, 4])),
        (ScoreLoss(), np.ones([2, 3]), np.ones([2, 3, 4])),
    ],
)
def test_weights_of_images_are_refused(loss, truth, predicted):
    """They would scale the loss of the whole batch."""
    assert np.isfinite(loss(truth, predicted.astype("float32"), sample_weight=None))
    with pytest.raises(ValueError, match=f"{loss.name} is normalized over the batch"):
        loss(truth, predicted, sample_weight=np.array([1, 0]))
