"""The segmentation networks: wiring, sizes, every variant alive; and they learn."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.backbones.vgg16_weights import load_vgg16_weights
from picanet_tf.core.errors import PicanetError
from picanet_tf.segmentation import build_model
from picanet_tf.segmentation.losses import loss_weights, losses
from picanet_tf.segmentation.targets import encode_targets
from picanet_tf.segmentation.variants import VARIANTS
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.run_directory import RunDirectory
from tests.segmentation.shapes import read, read_validation, shapes
from tests.training.disks import train


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_trains_a_step_and_comes_back_from_a_file(
    variant, tmp_path, tiny_network
):
    model = tiny_network(variant, "segmentation")
    images, classes = shapes(2)
    targets = encode_targets(tf.constant(classes), model.output)
    before = {weight.path: weight.numpy() for weight in model.trainable_weights}
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        weights = loss_weights(outputs)
        loss = sum(
            weights[name] * each(targets[name], outputs[name])
            for name, each in losses(outputs).items()
        )
    trainable = [weight.value for weight in model.trainable_weights]
    gradients = tape.gradient(loss, trainable)
    assert np.isfinite(loss) and all(gradient is not None for gradient in gradients)
    keras.optimizers.SGD(0.01).apply(gradients, model.trainable_weights)
    moved = {
        weight.path
        for weight in model.trainable_weights
        if not np.array_equal(weight, before[weight.path])
    }
    heads = [f"fc8_{i}" for i in (6, 12, 18, 24)]
    heads = heads if "DeepLab" in variant else [f"stage{i}" for i in (6, 5, 4, 3)]
    assert moved >= {f"{head}/{part}" for head in heads for part in ("kernel", "bias")}
    assert len(moved) > 0.6 * len(before)

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    wanted = model(images, training=False)
    for name, output in loaded(images, training=False).items():
        np.testing.assert_array_equal(output, wanted[name])
    assert (loaded.task.spec.name, loaded.variant) == ("segmentation", variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_output_shapes(variant):
    """As SPEC has them: DeepLab at stride 8, the U-Net's maps 12, 24, 48 and 96."""
    model = build_model(variant, width=1 / 64)
    shapes = {name: output.shape[1:] for name, output in model.output.items()}
    if "DeepLab" in variant:
        assert model.input.shape == (None, 321, 321, 3)
        assert shapes == {"logits": (41, 41, 21)}
    else:
        assert model.input.shape == (None, 384, 384, 3)
        assert shapes == {
            "stage6": (12, 12, 21),
            "stage5": (24, 24, 21),
            "stage4": (48, 48, 21),
            "stage3": (96, 96, 21),
        }
    assert {output.dtype for output in model.output.values()} == {"float32"}


def test_branches_match_table_3():
    model = build_model("DeepLab_LAP", width=1 / 16)
    rates = {6: 2, 12: 4, 18: 6, 24: 8}
    for rate, context_rate in rates.items():
        layer = model.get_layer(f"aspp{rate}_lap")
        assert (layer.kernel_size, layer.dilation_rate) == (7, context_rate)
        assert layer.input is model.get_layer("block5_pool").output
        fc6 = model.get_layer(f"fc6_{rate}")
        assert fc6.kernel.shape == (3, 3, 32, 64)
        assert tuple(np.ravel(fc6.dilation_rate)) in ((rate,), (rate, rate))
        # As one kernel on fc6's 64 channels and the 32 that LAP made of pool5's.
        fc7, context = (model.get_layer(f"fc7_{rate}{s}") for s in ("", "_context"))
        assert fc7.kernel.shape == (1, 1, 64, 64) and fc7.use_bias
        assert context.kernel.shape == (1, 1, 32, 64) and not context.use_bias
        assert fc7.input is model.get_layer(f"fc6_{rate}_dropout").output
    assert model.get_layer("aspp6_lap").kernel_size == 7


def test_the_scores_are_the_sum_of_the_branches(tiny_network):
    model = tiny_network("DeepLab_AC", "segmentation")
    branches = [model.get_layer(f"fc8_{rate}").output for rate in (6, 12, 18, 24)]
    parts = keras.Model(model.input, branches)(shapes(1)[0], training=False)
    np.testing.assert_allclose(
        model(shapes(1)[0], training=False)["logits"], sum(parts), rtol=1e-5, atol=1e-6
    )


def test_the_global_grid_is_12_by_12():
    model = build_model("6GAP_543AC", width=1 / 64, return_attention=True)
    gap = model.get_layer("d6_gap")
    assert (gap.kernel_size, gap.dilation_rate) == (12, 1)
    assert model.output["attention6"].shape == (None, 12, 12, 144)
    assert model.output["attention3"].shape == (None, 96, 96, 49)


def test_deeplab_moves_to_any_size_a_unet_with_gap_does_not(tiny_network):
    model = tiny_network("DeepLab_LAP", "segmentation")
    larger = model.rebuild(image_size=97)
    assert larger.output["logits"].shape == (None, 13, 13, 21)
    kernel = "fc8_18/kernel"
    ours, theirs = ({w.path: w for w in m.weights}[kernel] for m in (model, larger))
    np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(
        PicanetError, match="trained at image_size 64 and cannot run at"
    ):
        tiny_network("6GAP_543AC", "segmentation").rebuild(image_size=96)


def test_each_branch_sums_fc7_of_its_input_and_of_its_context(tiny_network):
    """Equal to one fc7 on both, concatenated."""
    model = tiny_network("DeepLab_LAP", "segmentation", gain=20)
    names = ("fc6_12_dropout", "aspp12_lap", "fc7_12_relu")
    parts = keras.Model(model.input, [model.get_layer(name).output for name in names])
    fc6, context, found = parts(shapes(1)[0], training=False)
    fc7, of_context = (model.get_layer(f"fc7_12{s}") for s in ("", "_context"))
    kernel = np.concatenate([fc7.kernel.numpy(), of_context.kernel.numpy()], axis=2)
    both = np.concatenate([fc6, context], axis=-1)
    wanted = np.maximum(both @ kernel[0, 0] + fc7.bias.numpy(), 0)
    assert wanted.max() > 0
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_each_branch_starts_from_vgg16s_fc6_and_fc7(tmp_path):
    model = build_model("DeepLab_LAP", image_size=32)
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(0)
    stored = {}
    for name, layer in {layer.name: layer for layer in model.layers}.items():
        if name.startswith("block") and name[-5:-1] == "conv":
            stored[name] = [np.zeros(w.shape, np.float32) for w in layer.weights]
    for name, shape in {"fc6": (3, 3, 512, 1024), "fc7": (1, 1, 1024, 1024)}.items():
        stored[name] = [
            rng.normal(size=shape).astype(np.float32),
            rng.normal(size=1024).astype(np.float32),
        ]
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["layer_names"] = list(stored)
        for name, (kernel, bias) in stored.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = ["kernel", "bias"]
            group["kernel"], group["bias"] = kernel, bias
    fresh = model.get_layer("fc7_18_context").kernel.numpy()
    report = load_vgg16_weights(model, tmp_path / "w.h5")
    assert {"fc6_6", "fc7_24"} <= set(report.loaded) and report.missing == ()
    for rate in (6, 12, 18, 24):
        fc6, fc7 = (model.get_layer(f"fc{i}_{rate}") for i in (6, 7))
        np.testing.assert_array_equal(fc6.kernel, stored["fc6"][0])
        np.testing.assert_array_equal(fc7.kernel, stored["fc7"][0])
        np.testing.assert_array_equal(fc7.bias, stored["fc7"][1])
    np.testing.assert_array_equal(model.get_layer("fc7_18_context").kernel, fresh)


@pytest.mark.slow
@pytest.mark.parametrize(
    "variant, rate", [("6GAP_543LAP", 0.05), ("DeepLab_LAP", 0.01)]
)
def test_a_tiny_network_learns_two_classes(variant, rate, tmp_path):
    experiment = Experiment.of(
        "segmentation",
        variant=variant,
        validation_tfrecords="of read_validation",
        image_size=64,
        width=1 / 16,
        batch_size=4,
        steps=300,
        learning_rate=rate,
        dropout=0.0,
        backbone_weights="none",
        log_interval=50,
        validation_interval=300,
        checkpoint_interval=300,
    )
    run = RunDirectory.create(experiment, str(tmp_path / "run"))
    train(experiment, run, read_training=read, read_validation=read_validation)
    with run.validation.open() as file:
        (scores,) = csv.DictReader(file)
    assert float(scores["mean_iou"]) > 0.9
    assert float(scores["pixel_accuracy"]) > 0.95
