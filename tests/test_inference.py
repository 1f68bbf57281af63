"""`load_model(...).predict`: what goes in, what comes out, and at which size."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import picanet_tf
from data_pipeline.errors import UserError
from picanet_tf.errors import PicanetError
from picanet_tf.inference import SaliencyModel
from picanet_tf.saliency import build_model


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(3)
    model = build_model("UNet", image_size=32, width=1 / 32)
    # Untouched batch norms and 0.01 deviations would give 0.5 everywhere.
    for variable in model.weights:
        if variable.path.endswith("kernel"):
            variable.assign(variable * 20)
    return model


@pytest.fixture(scope="module")
def photo():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (6, 9, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(small).resize((45, 30)))


def expected_map(network, photo):
    small = tf.image.resize(photo[np.newaxis], [32, 32], method="bilinear")
    logits = network(small, training=False)["stage1"]
    return tf.image.resize(tf.sigmoid(logits), photo.shape[:2]).numpy()[0, ..., 0]


def test_a_map_of_the_images_own_size(network, photo):
    saliency = SaliencyModel(network).predict(photo)
    assert saliency.shape == (30, 45) and saliency.dtype == np.float32
    assert saliency.std() > 0.01
    np.testing.assert_allclose(saliency, expected_map(network, photo), atol=1e-5)


def test_every_kind_of_source_gives_the_same_map(network, photo, tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    model = SaliencyModel(network)
    expected = model.predict(photo)
    for source in (path, str(path), path.read_bytes(), Image.open(path)):
        np.testing.assert_array_equal(model.predict(source), expected)


def test_several_images_of_several_sizes(network, photo):
    model = SaliencyModel(network)
    images = [photo, photo[:20], photo[:, :7], photo]
    maps = model.predict(images, batch_size=3)
    assert [m.shape for m in maps] == [(30, 45), (20, 45), (30, 7), (30, 45)]
    for image, saliency in zip(images, maps, strict=True):
        np.testing.assert_allclose(saliency, model.predict(image), atol=1e-6)


def test_exif_orientation_is_applied(network, photo):
    exif = Image.Exif()
    exif[274] = 6  # taken with the camera on its side
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "PNG", exif=exif)
    saliency = SaliencyModel(network).predict(buffer.getvalue())
    assert saliency.shape == (45, 30)
    upright = np.rot90(photo, -1).copy()
    np.testing.assert_allclose(
        saliency, SaliencyModel(network).predict(upright), atol=1e-6
    )


def test_errors(network, tmp_path):
    model = SaliencyModel(network)
    with pytest.raises(ValueError, match=r"uint8 \[height, width, 3\].*float64"):
        model.predict(np.zeros([4, 4, 3]))
    with pytest.raises(UserError, match="nowhere.jpg"):
        model.predict("nowhere.jpg")
    with pytest.raises(PicanetError, match="no model file .*nowhere.keras"):
        picanet_tf.load_model("nowhere.keras")
    (tmp_path / "text.keras").write_text("not a model")
    with pytest.raises(PicanetError, match="Cannot load the model .*text.keras"):
        picanet_tf.load_model(tmp_path / "text.keras")
    foreign = keras.Sequential([keras.Input([2]), keras.layers.Dense(1)])
    foreign.save(tmp_path / "foreign.keras")
    with pytest.raises(PicanetError, match="no output stage1"):
        picanet_tf.load_model(tmp_path / "foreign.keras")


def test_a_saved_network_predicts_the_same(network, photo, tmp_path):
    network.save(tmp_path / "model.keras")
    loaded = picanet_tf.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(photo), SaliencyModel(network).predict(photo), atol=1e-6
    )
