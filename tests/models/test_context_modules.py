"""Context modules by kind."""

import keras
import numpy as np
import pytest

from picanet_tf import layers
from picanet_tf.layers import attention_ops
from picanet_tf.models.context_modules import (
    ATTENTIVE,
    CONVOLVING,
    KINDS,
    context_layer,
    fit_grid,
)
from tests.layers.harness import random_input, randomize

SMALL = {"filters": 4, "renet_units": 3, "attention_filters": 2}


@pytest.mark.parametrize(
    "kind, layer_class, shape",
    [
        ("GAP", layers.GlobalAttentionPooling, (6, 6, 3)),
        ("LAP", layers.LocalAttentionPooling, (6, 6, 3)),
        ("AC", layers.AttentionConvolution, (6, 6, 4)),
        ("LC", keras.layers.Conv2D, (6, 6, 4)),
        ("ReNet", layers.ReNet, (6, 6, 6)),
        ("G_AveP", layers.GlobalContextPooling, (6, 6, 3)),
        ("L_AveP", layers.LocalContextPooling, (6, 6, 3)),
        ("G_MaxP", layers.GlobalContextPooling, (6, 6, 3)),
        ("L_MaxP", layers.LocalContextPooling, (6, 6, 3)),
    ],
)
def test_a_layer_of_each_kind(kind, layer_class, shape):
    layer = context_layer(kind, name="context", size=6, **SMALL)
    assert isinstance(layer, layer_class)
    assert layer.name == "context"
    assert layer(random_input(2, 6, 6, 3)).shape == (2, *shape)
    if "Pooling" in layer_class.__name__ and "_" in kind:
        assert layer.mode == {"A": "average", "M": "max"}[kind[2]]


def test_no_kind_is_forgotten():
    assert set(KINDS) == {
        *("GAP", "LAP", "AC", "LC", "ReNet"),
        *("G_AveP", "L_AveP", "G_MaxP", "L_MaxP"),
    }
    assert set(CONVOLVING) == {"AC", "LC"}
    assert set(ATTENTIVE) == {"GAP", "LAP", "AC"}


@pytest.mark.parametrize(
    "size, kernel_size, expected",
    [
        (28, 10, (10, 3)),  # the paper's
        (27, 10, (10, 2)),
        (10, 10, (10, 1)),
        (4, 10, (4, 1)),
        (12, 12, (12, 1)),  # the segmentation U-Net's
        (1, 10, (1, 1)),
    ],
)
def test_fitting_grid(size, kernel_size, expected):
    assert fit_grid(size, kernel_size) == expected


@pytest.mark.parametrize("size", range(1, 40))
def test_fitting_grid_fits(size):
    grid = attention_ops.global_grid(size, *fit_grid(size))
    positions = list(range(size))[grid]
    assert len(positions) == min(10, size)
    assert positions[0] - 0 in (size - 1 - positions[-1], size - 2 - positions[-1])


def test_large_convolution_is_an_attention_convolution_with_open_gates():
    convolution = context_layer("LC", name="lc", **SMALL)
    attentive = context_layer("AC", name="ac", **SMALL)
    inputs = random_input(2, 15, 14, 3)
    for layer in (convolution, attentive):
        layer.build(inputs.shape)
        randomize(layer)
    attentive.kernel.assign(convolution.kernel)
    attentive.bias.assign(convolution.bias)
    norm = attentive.get_logits_layer().norm
    norm.gamma.assign(np.zeros(49))
    norm.beta.assign(np.full(49, 50.0))  # sigmoid(50) = 1
    np.testing.assert_allclose(convolution(inputs), attentive(inputs), atol=2e-5)


@pytest.mark.parametrize("kind", ["LAP", "AC", "LC", "L_AveP"])
def test_window_options_reach_the_layers(kind):
    window = {"kernel_size": 3, "dilation_rate": 4}
    config = context_layer(kind, name="context", **SMALL, **window).get_config()
    assert config["kernel_size"] in (3, (3, 3))
    assert config["dilation_rate"] in (4, (4, 4))
    config = context_layer(kind, name="context", **SMALL).get_config()
    assert config["kernel_size"] in (7, (7, 7))
    assert config["dilation_rate"] in (2, (2, 2))


@pytest.mark.parametrize("kind", ["GAP", "ReNet"])
def test_lstm_options_reach_renet(kind):
    options = layers.LSTMOptions(use_cudnn=False, unroll=True)
    for passed in (options, {"use_cudnn": False, "unroll": True}):
        layer = context_layer(
            kind, name="context", size=6, lstm_options=passed, **SMALL
        )
        renet = layer if kind == "ReNet" else layer.renet
        assert renet.units == 3
        assert renet.rows.forward_layer.use_cudnn is False
        assert renet.rows.forward_layer.unroll is True
    by_default = context_layer(kind, name="context", size=6, **SMALL)
    assert by_default.lstm_options == layers.LSTMOptions()


@pytest.mark.parametrize("kind", ["GAP", "LAP", "AC"])
def test_attention_options_reach_the_layers(kind):
    options = {"return_attention": True, **SMALL}
    layer = context_layer(kind, name="context", size=6, **options)
    config = layer.get_config()
    assert config["return_attention"] is True
    assert config["implementation"] == "fused"
    assert len(layer(random_input(1, 6, 6, 3))) == 2
    alone = context_layer(kind, name="context", size=6, **SMALL)
    assert alone.get_config()["return_attention"] is False


def test_new_convolutions_start_gaussian():
    keras.utils.set_random_seed(0)
    for kind in ("AC", "LC"):
        layer = context_layer(kind, name=kind, filters=8, attention_filters=8)
        layer.build((None, 8, 8, 8))
        kernels = [w for w in layer.trainable_weights if w.name == "kernel"]
        assert len(kernels) == {"AC": 3, "LC": 1}[kind]
        for kernel in kernels:
            assert np.std(kernel) == pytest.approx(0.01, rel=0.1)
            assert np.abs(np.mean(kernel)) < 0.002


def test_errors_say_what_was_wrong():
    with pytest.raises(ValueError, match="`kind` must be one of.*kind='gap'"):
        context_layer("gap", name="context", size=28)
    for kind in ("LC", "ReNet", "G_AveP", "L_MaxP"):
        with pytest.raises(ValueError, match=f"return an attention.*kind='{kind}'"):
            context_layer(kind, name="context", return_attention=True, **SMALL)
    with pytest.raises(ValueError, match="`filters`.*kind='AC'"):
        context_layer("AC", name="context")
    with pytest.raises(ValueError, match="`size`.*kind='GAP'"):
        context_layer("GAP", name="context")
    with pytest.raises(ValueError, match="support `strides`.*kind='GAP'"):
        context_layer("GAP", name="context", size=28, strides=2)


def test_a_strided_large_convolution_is_an_ac_with_open_gates():
    inputs = random_input(1, 9, 8, 3)
    layer = context_layer("LC", name="context", filters=4, strides=2)
    assert type(layer) is layers.StridedDilatedConv2D
    outputs = layer(inputs)
    gates = np.ones([1, 5, 4, 49], "float32")
    expected = attention_ops.attention_conv(
        inputs, gates, np.array(layer.kernel), dilation_rate=2, strides=2
    )
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
