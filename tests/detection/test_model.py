"""The detection networks: wiring, sizes, every variant alive."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.detection import build_model
from picanet_tf.detection.losses import loss_weights, losses
from picanet_tf.detection.targets import encode_targets
from picanet_tf.detection.variants import VARIANTS, parse_variant
from picanet_tf.tasks import get_spec, get_task
from picanet_tf.training.experiments import Experiment
from tests.detection.test_targets import objects_of


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_trains_a_step_and_comes_back_from_a_file(
    variant, tmp_path, tiny_network
):
    model = tiny_network(variant, "detection")
    images = np.float32(np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)))
    objects = objects_of([(0.1, 0.1, 0.6, 0.7, 3)], [(0.2, 0.4, 0.9, 0.9, 20)])
    targets = encode_targets(objects, model.output, 64)
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        weights = loss_weights(outputs)
        loss = sum(
            weights[name] * each(targets[name], outputs[name])
            for name, each in losses(outputs).items()
        )
    raw = [weight.value for weight in model.trainable_weights]
    gradients = tape.gradient(loss, raw)
    assert np.isfinite(loss) and all(g is not None for g in gradients)
    assert all(np.isfinite(g).all() for g in gradients)

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    wanted = model(images, training=False)
    for name, output in loaded(images, training=False).items():
        np.testing.assert_array_equal(output, wanted[name])
    assert (loaded.task.spec.name, loaded.variant) == ("detection", variant)
    names = {layer.name for layer in loaded.layers}
    for point in loaded.attach_points.values():
        assert {point.input_layer, point.layer} <= names


@pytest.mark.parametrize("variant", VARIANTS)
def test_output_shapes(variant):
    model = build_model(variant, width=1 / 64, return_attention=True)
    shapes = {name: output.shape[1:] for name, output in model.output.items()}
    assert shapes.pop("locations") == (8732, 4)
    assert shapes.pop("scores") == (8732, 21)
    assert {output.dtype for output in model.output.values()} == {"float32"}
    gap = {"attention9": (10, 10, 100), "attention10": (5, 5, 25)}
    local = {"attention4": (38, 38, 49), "attention7": (19, 19, 49)}
    assert shapes == {
        "478AC_910GAP": {**local, "attention8": (10, 10, 49), **gap},
        "478LAP_910GAP": {**local, "attention8": (19, 19, 49), **gap},
    }.get(variant, {})


def test_windows_of_the_strided_convolution_are_on_its_input():
    """Conv8's 7 positions, 2 apart on 19 x 19, are 1 apart on its map of 10 x 10."""
    rates = {
        variant: {
            key: point.dilation_rate
            for key, point in get_task("detection").attach_points(variant).items()
            if point.kind in ("AC", "LAP")
        }
        for variant in ("478AC_910GAP", "478LAP_910GAP")
    }
    assert rates == {
        "478AC_910GAP": {8: 1, 7: 2, 4: 2},
        "478LAP_910GAP": {8: 2, 7: 2, 4: 2},
    }


def test_ssd300_has_the_published_number_of_weights():
    """26,285,486, as of every port of the release."""
    assert build_model("SSD300").count_params() == 26_285_486


def test_context_modules_are_wired_as_in_the_paper():
    """Channels of Sec. 5.6's concatenations, a sixteenth of the full ones."""
    lap = build_model("478LAP_910GAP", width=1 / 16)
    ac = build_model("478AC_910GAP", width=1 / 16)

    def seen(model, name):
        return model.get_layer(name).kernel.shape[2]

    # Heads see LAP's map beside the map; AC's alone.
    assert seen(lap, "conv4_3_scores") == 2 * 32 and seen(ac, "conv4_3_scores") == 32
    assert seen(lap, "fc7_scores") == 2 * 64 and seen(ac, "fc7_scores") == 64
    # The network goes on from fc7 without.
    assert seen(lap, "conv8_1") == 64
    assert lap.get_layer("conv8_1").input is lap.get_layer("fc7_relu").output
    assert seen(lap, "conv8_2") == 2 * 16
    assert "conv8_2" not in {layer.name for layer in ac.layers}
    attended = ac.get_layer("context8_ac")
    assert (attended.strides, attended.filters) == (2, 32)
    for model in (lap, ac):
        assert seen(model, "conv9_2") == seen(model, "conv10_2") == 2 * 8
        assert seen(model, "conv11_2") == 8
    assert lap.get_layer("context4_lap").dilation_rate == 2
    assert lap.get_layer("context9_gap").dilation_rate == 1


def test_the_recipe_is_ssds():
    experiment = Experiment.of("detection", variant="SSD300")
    assert (experiment.steps, experiment.boundaries) == (120_000, (80_000, 100_000))
    assert (experiment.learning_rate, experiment.batch_size) == (0.001, 32)
    assert (experiment.momentum, experiment.weight_decay) == (0.9, 0.0005)
    assert experiment.image_size == 300
    assert experiment.encoder_lr_multiplier == 1
    assert get_spec("detection").variants == VARIANTS
    assert parse_variant(get_spec("detection").default_variant)


def test_variant_names_are_parsed():
    assert parse_variant("SSD300") == {}
    assert parse_variant("478LC_910ReNet") == {
        **dict.fromkeys((4, 7, 8), "LC"),
        **dict.fromkeys((9, 10), "ReNet"),
    }
    assert parse_variant("47LAP_10GAP") == {4: "LAP", 7: "LAP", 10: "GAP"}
    for name, why in {
        "5AC": "layer 5 cannot have a context",
        "44AC": "layer 4 is named twice",
        "9AC": "'AC' is not one of the kinds of layer 9",
        "UNet": "'UNet' is not a list of layers followed by a kind",
    }.items():
        with pytest.raises(ValueError, match=why):
            parse_variant(name)
