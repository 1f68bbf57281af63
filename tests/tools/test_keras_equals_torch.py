"""The Keras network compared with results of the one in PyTorch."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_pipeline.convert import convert_folders
from picanet_tf import segmentation
from picanet_tf.core.errors import PicanetError
from picanet_tf.saliency import build_model
from picanet_tf.tasks import get_task
from tools.torch_training import keras_models, packs, reference

REFERENCE = pathlib.Path(__file__).with_name("torch_reference.npz")


@pytest.fixture(scope="module")
def expected():
    """{variant: results of `reference.compute`}, as recorded."""
    with np.load(REFERENCE) as file:
        return {
            variant: {
                name: file[f"{variant}/{name}"]
                for name in ("stage1", "loss", "paths", "gradients")
            }
            for variant in reference.VARIANTS
        }


def keras_network(variant):
    network = build_model(
        variant, reference.SIZE, width=reference.WIDTH, dropout=0.0, weights=None
    )
    variables = {v.path: v for v in network.variables if "seed" not in v.path}
    shapes = {path: tuple(v.shape) for path, v in variables.items()}
    for path, value in reference.random_weights(shapes).items():
        # Averages of norms are of what has been collected.
        complete = path.endswith("collected_weight")
        variables[path].assign(20.0 if complete else value)
    return network


@pytest.mark.parametrize("variant", reference.VARIANTS)
def test_keras_equals_pytorch(variant, expected):
    """Outputs, losses and the gradient of every variable."""
    expected = expected[variant]
    network = keras_network(variant)
    images, masks = reference.images_and_masks()
    outputs = network(images, training=False)
    np.testing.assert_allclose(
        outputs["stage1"][..., 0], expected["stage1"], rtol=1e-5, atol=2e-5
    )
    task = get_task("saliency")
    losses, weights = task.losses(network.output), task.loss_weights(network.output)
    targets = task.encode_targets(tf.constant(masks), network.output, reference.SIZE)
    with tf.GradientTape() as tape:
        outputs = network(images, training=True)
        loss = sum(
            weights[name] * losses[name](targets[name], outputs[name])
            for name in losses
        )
    assert float(loss) == pytest.approx(float(expected["loss"]), rel=1e-6)
    variables = {v.path: v for v in network.trainable_variables}
    assert set(variables) == set(expected["paths"].tolist())
    gradients = tape.gradient(loss, list(variables.values()))
    gradients = dict(zip(variables, map(np.asarray, gradients), strict=True))
    for path, (norm, product) in zip(
        expected["paths"].tolist(), expected["gradients"], strict=True
    ):
        found = gradients[path].astype(np.float64)
        along = np.sum(found * reference.direction(path, found.shape))
        # Biases before a norm have no gradient.
        close = pytest.approx([norm, product], abs=1e-3 * norm + 1e-6)
        assert [np.linalg.norm(found), along] == close, path


def test_network_is_built_from_exported_weights(tmp_path):
    """An .npz by variable path, kernels in float16, becomes a `.keras` file."""
    network = keras_network("6GAP_5432AC")
    arrays = {
        v.path: v.numpy().astype(np.float16 if len(v.shape) > 1 else np.float32)
        for v in network.variables
        if "seed" not in v.path and not v.path.endswith("collected_weight")
    }
    np.savez(tmp_path / "weights.npz", **arrays)
    target = tmp_path / "network.keras"
    keras_models.write_network(
        str(tmp_path / "weights.npz"), "6GAP_5432AC", str(target)
    )
    with pytest.raises(PicanetError, match="network.keras exists: give another name"):
        keras_models.write_network("any.npz", "6GAP_5432AC", str(target))
    read = {v.path: v.numpy() for v in keras.saving.load_model(target).variables}
    for path, value in arrays.items():
        np.testing.assert_array_equal(read[path], value.astype(np.float32))
    assert read["d6_gap/norm/collected_weight"] == 20


def test_the_weights_of_a_network_are_written(tmp_path):
    """They come back as they were; another task's network is refused."""
    network = keras_network("6GAP_5432AC")
    network.save(tmp_path / "first.keras")
    first, second = str(tmp_path / "first.keras"), str(tmp_path / "second.keras")
    keras_models.write_weights(first, str(tmp_path / "start.npz"))
    with np.load(tmp_path / "start.npz") as file:
        assert not any("collected" in name for name in file.files)
    keras_models.write_network(str(tmp_path / "start.npz"), "6GAP_5432AC", second)
    for ours, theirs in zip(
        network.weights, keras.saving.load_model(second).weights, strict=True
    ):
        if not ours.path.endswith("collected_weight"):
            np.testing.assert_array_equal(ours, theirs, ours.path)
    other = segmentation.build_model("DeepLab", image_size=64, width=1 / 64)
    other.save(tmp_path / "other.keras")
    with pytest.raises(PicanetError, match="other.keras is for segmentation"):
        keras_models.write_weights(str(tmp_path / "other.keras"), f"{tmp_path}/x.npz")
    assert not (tmp_path / "x.npz").exists()


def test_the_encoder_is_written(tmp_path, monkeypatch):
    network = keras_network("UNet")
    monkeypatch.setattr("picanet_tf.saliency.build_model", lambda *_, **__: network)
    keras_models.write_encoder(str(tmp_path / "encoder.npz"), "hed")
    with np.load(tmp_path / "encoder.npz") as file:
        assert len(file.files) == 26
        kernel = network.get_layer("block5_conv3").kernel.numpy()
        np.testing.assert_allclose(file["block5_conv3/kernel"], kernel, atol=1e-3)
    with pytest.raises(PicanetError, match="encoder.npz exists: give another name"):
        keras_models.write_encoder(str(tmp_path / "encoder.npz"), "hed")


def test_a_data_set_is_packed(tmp_path):
    """At 256 x 256 pixels; refusals are reported in one line."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for number in range(3):
        mask = np.zeros((60, 80), np.uint8)
        mask[10 * number : 10 * number + 20, 20:70] = 255
        photo = rng.integers(0, 40, (60, 80, 3)) + mask[..., None] // 2
        Image.fromarray(photo.astype(np.uint8)).save(tmp_path / f"images/{number}.png")
        Image.fromarray(mask).save(tmp_path / f"masks/{number}.png")
    data = tmp_path / "data"
    convert_folders(tmp_path / "images", tmp_path / "masks", data, name="tiny")
    keras_models.write_packs(str(data), str(tmp_path / "packs"), parts=1)
    images, masks = packs.read(tmp_path / "packs")
    assert images.shape == (3, 256, 256, 3)
    expected = np.zeros((256, 256), bool)
    expected[43:128, 64:224] = True
    np.testing.assert_array_equal(masks[1], expected)
    grey = images[1].mean(-1)
    assert grey[expected].mean() > grey[~expected].mean() + 100
    with pytest.raises(ValueError, match="has packs already"):
        keras_models.write_packs(str(data), str(tmp_path / "packs"), parts=1)
    with pytest.raises(PicanetError, match="must be a .npz file"):
        keras_models.write_encoder(str(tmp_path / "encoder.txt"), "hed")
