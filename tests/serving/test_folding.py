"""Folding changes the graph and not what it computes."""

import keras
import numpy as np
import pytest

from picanet_tf.serving.folding import FoldingOptions, _convolution, _kernel_and_bias
from picanet_tf.serving.network import serving_network
from tests.serving.networks import norms, pixels, trained_like

# The convolutions ahead of these feed the encoder's next block as well.
STAY = {f"d{i}_encoder_norm" for i in (5, 4, 3, 2, 1)}


def largest_difference(network, served, images):
    wanted = network(images, training=False)
    wanted["saliency"] = keras.ops.sigmoid(wanted["stage1"])
    outputs = served(images, training=False)
    assert np.std(outputs["saliency"]) > 0.02
    return max(np.abs(outputs[name] - wanted[name]).max() for name in outputs)


@pytest.mark.parametrize(
    "variant", ["UNet", "6GAP_5AC_4LAP_3LC_2AC", "65GAP_4LAP_3ReNet", "6G_5432L_AveP"]
)
def test_folded_equals_unfolded(variant):
    network = trained_like(variant, return_attention=True)
    images = pixels(2, seed=5)
    before = network(images, training=False)
    all_norms = set(norms(network))
    for folding, left in [
        (FoldingOptions(False, False), all_norms),
        (FoldingOptions(True, False), STAY),
        (FoldingOptions(False, True), all_norms),
        (FoldingOptions(), STAY),
    ]:
        served = serving_network(network, folding=folding)
        assert set(norms(served)) == left
        assert largest_difference(network, served, images) < 3e-5
    after = network(images, training=False)
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])


def test_a_norm_matters_in_these_tests():
    """What the others measure would show a norm left out."""
    network = trained_like("6GAP_5AC", return_attention=True)
    served = serving_network(network)
    for path in ("d4_decode/kernel", "d5_ac/kernel", "d6_gap/conv/kernel"):
        (weight,) = (weight for weight in served.weights if weight.path == path)
        right = weight.numpy()
        weight.assign(right * 1.1)
        assert largest_difference(network, served, pixels(2)) > 1e-3
        weight.assign(right)
    assert largest_difference(network, served, pixels(2)) < 3e-5


def test_a_convolution_without_bias_gets_one_of_its_norm():
    convolution = keras.layers.Conv2D(3, 1, use_bias=False)
    norm = keras.layers.BatchNormalization(moving_mean_initializer="ones")
    images = pixels(1)
    wanted = norm(convolution(images), training=False)
    kernel, bias = _kernel_and_bias(convolution, norm)
    folded = _convolution(convolution, "folded", kernel, bias)
    np.testing.assert_allclose(folded(images), wanted, rtol=1e-5, atol=1e-4)


def test_norms_inside_attention_are_gone():
    served = serving_network(trained_like("6GAP_5AC_4LAP"))
    for name in ("d6_gap", "d5_ac", "d4_lap"):
        norm = served.get_layer(name).get_logits_layer().norm
        assert isinstance(norm, keras.layers.Identity)
    inside = [weight.path for weight in served.weights if "gamma" in weight.path]
    assert sorted(inside) == sorted(f"{name}/gamma" for name in STAY)


def test_convolutions_come_ahead_of_the_upsampling():
    def upsampled(network):
        return {
            layer.name: layer._inbound_nodes[-1].input_tensors[0]._keras_history[0]
            for layer in network.layers
            if isinstance(layer, keras.layers.UpSampling2D)
        }

    network = trained_like("UNet")
    assert all(
        isinstance(layer, keras.layers.ReLU) for layer in upsampled(network).values()
    )
    served = serving_network(network)
    assert {name: layer.name for name, layer in upsampled(served).items()} == {
        "d3_upsample": "d3_fuse_1",
        "d2_upsample": "d2_fuse_1",
        "d1_upsample": "d1_decode_1",
    }
    assert not [
        layer.name
        for layer in served.layers
        if isinstance(layer, keras.layers.Concatenate)
    ]
