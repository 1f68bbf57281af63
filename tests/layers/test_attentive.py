"""What GAP, LAP and AC have in common."""

import collections

import h5py
import keras
import numpy as np
import pytest

from picanet_tf import layers
from picanet_tf.layers import (
    AttentionConvolution,
    AttentiveLayer,
    BatchNormalization,
    GlobalAttentionPooling,
    LocalAttentionPooling,
)
from tests.layers.harness import random_input

WINDOW = {"kernel_size": 3, "dilation_rate": 1}
CASES = [
    (GlobalAttentionPooling, {**WINDOW, "units": 4}),
    (LocalAttentionPooling, {**WINDOW, "attention_filters": 4}),
    (AttentionConvolution, {**WINDOW, "attention_filters": 4, "filters": 2}),
]
EACH_LAYER = pytest.mark.parametrize("layer_class, arguments", CASES)


def test_no_attentive_layer_is_missing_here():
    exported = {getattr(layers, name) for name in layers.__all__}
    attentive = {each for each in exported if issubclass(each, AttentiveLayer)}
    assert attentive == {AttentiveLayer, *(layer_class for layer_class, _ in CASES)}


@EACH_LAYER
def test_get_logits_layer_returns_what_computes_the_logits(layer_class, arguments):
    layer = layer_class(**arguments, return_attention=True)
    layer.build((None, 5, 4, 3))
    logits_layer = layer.get_logits_layer()
    conv, norm = logits_layer.conv, logits_layer.norm
    assert type(conv) is keras.layers.Conv2D
    assert conv.kernel.shape[:2] == (1, 1) and conv.kernel.shape[3] == 9
    assert type(norm) is BatchNormalization
    # Without gamma, beta is all that is left of the logits.
    beta = np.linspace(-2, 2, 9, dtype="float32")
    norm.gamma.assign(np.zeros(9))
    norm.beta.assign(beta)
    _, attention = layer(random_input(2, 5, 4, 3))
    if layer_class is AttentionConvolution:
        expected = 1 / (1 + np.exp(-beta))
    else:
        expected = np.exp(beta) / np.exp(beta).sum()
    expected = np.broadcast_to(expected, (2, 5, 4, 9))
    np.testing.assert_allclose(attention, expected, atol=1e-6)


def keys_of_weights(group):
    """Lists the keys of an HDF5 group's arrays."""
    keys = []
    group.visititems(
        lambda key, item: keys.append(key) if isinstance(item, h5py.Dataset) else None
    )
    return keys


@pytest.mark.parametrize(
    "case, parts",
    [
        (CASES[0], {"renet": 12, "conv": 2, "norm": 5}),
        (CASES[1], {"attention": 9}),
        (CASES[2], {"attention": 9, "vars": 2}),
    ],
)
def test_keys_of_saved_weights(case, parts, tmp_path):
    """Keras derives them from the names of attributes, not from variable paths."""
    layer_class, arguments = case
    inputs = keras.Input((5, 4, 3))
    model = keras.Model(inputs, layer_class(**arguments)(inputs))
    model.save_weights(tmp_path / "model.weights.h5")
    with h5py.File(tmp_path / "model.weights.h5") as file:
        keys = keys_of_weights(file["layers"])
    # layers/<class>/<part>/.../<number>
    assert collections.Counter(key.split("/")[1] for key in keys) == parts


@EACH_LAYER
def test_config_of_the_base_class(layer_class, arguments):
    config = layer_class(**arguments).get_config()
    assert config["return_attention"] is False
    assert config["implementation"] == "fused"
    passed = {"return_attention": True, "implementation": "patches"}
    layer = layer_class.from_config(layer_class(**arguments, **passed).get_config())
    assert layer.return_attention is True
    assert layer.implementation == "patches"


@EACH_LAYER
def test_error_messages(layer_class, arguments):
    with pytest.raises(ValueError) as raised:
        layer_class(**arguments, implementation="fast")
    assert str(raised.value) == (
        "`implementation` must be one of ('patches', 'fused'). "
        "Received: implementation='fast'"
    )
