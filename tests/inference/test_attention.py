"""What the attentive modules look at: `AttentionModel`."""

import keras
import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.inference import AttentionModel, KerasModel
from picanet_tf.saliency import build_model
from picanet_tf.tasks import get_task
from tests.inference import networks


@pytest.fixture(scope="module")
def network():
    return networks.network(gain=20)


@pytest.mark.parametrize("width", [1 / 32, 3 / 64])
def test_maps_features_and_attention(photo, width):
    keras.utils.set_random_seed(4)
    network = build_model("6GAP_54AC_3LAP_2LC", image_size=32, width=width)
    rng = np.random.default_rng(0)
    for variable in network.weights:
        if variable.path.startswith("d") and variable.path.endswith("kernel"):
            variable.assign(variable * 10)
        if "norm" in variable.path:  # No trained network's norms are untouched.
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    saliency = KerasModel(network)
    model = AttentionModel(saliency)
    kinds = {key: point.kind for key, point in model.points.items()}
    assert kinds == {6: "GAP", 5: "AC", 4: "AC", 3: "LAP"}
    maps = model.predict(photo)
    np.testing.assert_allclose(maps.foreground, saliency.predict(photo), atol=1e-5)
    shapes = {stage: weights.shape for stage, weights in maps.attention.items()}
    assert shapes == {6: (4, 4, 16), 5: (4, 4, 49), 4: (4, 4, 49), 3: (8, 8, 49)}
    for stage in (6, 3):
        np.testing.assert_allclose(maps.attention[stage].sum(-1), 1, atol=1e-5)
    for stage in (5, 4):
        gates = maps.attention[stage]
        assert 0 <= gates.min() < gates.max() <= 1
    # The attention is the network's own, which D6 gives in any case.
    small = saliency.resize(photo)[np.newaxis]
    own = network(small, training=False)["attention6"].numpy()
    np.testing.assert_allclose(maps.attention[6], own[0], atol=1e-5)
    batch = model.attention(small)
    assert list(batch) == [6, 5, 4, 3]
    np.testing.assert_allclose(batch[6], own, atol=1e-5)
    for stage, weights in maps.attention.items():
        np.testing.assert_allclose(batch[stage][0], weights, atol=1e-5)
    # F_att of D6 is what its attention pools: the grid is the whole 4 x 4 map here.
    into, out = maps.features[6]
    pooled = maps.attention[6].reshape(16, 16) @ into.ravel()
    np.testing.assert_allclose(out.ravel(), pooled, rtol=1e-4, atol=1e-5)
    assert list(maps.features) == list(maps.points) == [6, 5, 4, 3, 2]
    assert maps.features[2][1].shape == (16, 16)


def test_default_pixels_are_in_the_photo_and_not_in_its_padding():
    keras.utils.set_random_seed(0)
    task = get_task("segmentation")
    network = task.build_model("6GAP_543LAP", 64, width=1 / 32)
    photo = np.random.default_rng(0).integers(0, 256, (20, 60, 3), np.uint8)
    maps = AttentionModel(KerasModel(network)).predict(photo)
    assert maps.foreground.shape == (64, 64)
    assert maps.query_pixels
    for pixel in maps.query_pixels.values():
        assert pixel.x < 60 and pixel.y < 20


def test_network_without_attention_is_refused(network):
    with pytest.raises(PicanetError, match="UNet has no attention to show"):
        AttentionModel(KerasModel(network))
