"""The network for artefacts: what is in it, and what is not."""

import keras
import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.inference import KerasModel
from picanet_tf.saliency import build_model
from picanet_tf.serving.network import serving_network
from tests.serving.networks import pixels, trained_like


def test_serving_network_has_the_expected_outputs(network):
    served = serving_network(network)
    assert {name: output.shape for name, output in served.output.items()} == {
        "saliency": (None, 64, 64, 1),
        "attention6": (None, 8, 8, 64),
        "attention5": (None, 8, 8, 49),
    }
    assert {output.dtype for output in served.output.values()} == {"float32"}
    assert served.input.name == "image"
    names = {layer.name for layer in served.layers}
    assert not names & {f"stage{i}" for i in (2, 3, 4, 5, 6)}
    assert list(serving_network(network, attention=False).output) == ["saliency"]


def test_serving_network_without_attention():
    served = serving_network(trained_like("6ReNet_5432LC"))
    assert list(served.output) == ["saliency"]
    assert trained_like("6ReNet_5432LC").attentive_points == ()


@pytest.mark.parametrize("unroll", [False, True])
def test_no_lstm_may_use_cudnn(network, unroll):
    renet = serving_network(network, unroll=unroll).get_layer("d6_gap").renet
    for sweep in (renet.rows, renet.columns):
        for lstm in (sweep.forward_layer, sweep.backward_layer):
            assert lstm.use_cudnn is False and lstm.unroll is unroll


def test_unrolled_equals_looped(network):
    images = pixels(2)
    looped, unrolled = (
        serving_network(network, unroll=unroll)(images)["saliency"]
        for unroll in (False, True)
    )
    np.testing.assert_allclose(looped, unrolled, atol=2e-6)


def test_serving_network_at_another_size():
    network = trained_like("6GAP_5AC", image_size=96)
    served = serving_network(network, 128)
    assert served.output["saliency"].shape == (None, 128, 128, 1)
    images = pixels(1, 128)
    wanted = keras.ops.sigmoid(network.rebuild(image_size=128)(images)["stage1"])
    np.testing.assert_allclose(served(images)["saliency"], wanted, atol=1e-5)


def test_incompatible_sizes_are_refused(network):
    with pytest.raises(PicanetError, match="trained at image_size 64 .* at 96"):
        serving_network(network, 96)
    with pytest.raises(PicanetError, match="multiple of 8.*image_size=70"):
        serving_network(network, 70)


def test_a_network_of_mixed_precision_is_served_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = trained_like("6GAP_5AC")
        served = serving_network(network)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.get_layer("fc7").compute_dtype == "bfloat16"
    assert {layer.compute_dtype for layer in served.layers} == {"float32"}
    full = network.rebuild(dtype="float32")
    images = pixels(2)
    np.testing.assert_allclose(
        served(images)["saliency"],
        keras.ops.sigmoid(full(images, training=False)["stage1"]),
        atol=1e-5,
    )


def test_foreign_networks_are_refused():
    foreign = keras.Sequential([keras.Input([2]), keras.layers.Dense(1)], name="other")
    with pytest.raises(PicanetError, match="other was not built by `build_model`"):
        KerasModel(foreign)
    assert build_model("6GAP", 32, width=1 / 32).variant == "6GAP"
