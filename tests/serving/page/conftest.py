"""The network that the page's tests look into."""

import keras
import pytest

from picanet_tf.inference import AttentionModel, KerasModel
from picanet_tf.saliency import build_model


@pytest.fixture(scope="session")
def network():
    keras.utils.set_random_seed(3)
    model = build_model("6GAP_5AC", image_size=32, width=1 / 32)
    for variable in model.weights:
        if variable.path.endswith("kernel"):
            variable.assign(variable * 20)  # so that it draws more than one grey
    return KerasModel(model)


@pytest.fixture(scope="session")
def attention(network):
    return AttentionModel(network)
