"""The Keras engine: what goes in, what comes out, and at which size."""

import errno
import io
import json
import os
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.backend.common import global_state
from PIL import Image

import picanet_tf
from picanet_tf.core.errors import PicanetError
from picanet_tf.inference import KerasModel
from tests.inference import networks


@pytest.fixture(scope="module")
def network():
    return networks.network(gain=20)


def expected_map(network, photo):
    small = tf.image.resize(photo[np.newaxis], [32, 32], method="bilinear")
    logits = network(small, training=False)["stage1"]
    return tf.image.resize(tf.sigmoid(logits), photo.shape[:2]).numpy()[0, ..., 0]


def test_map_has_the_size_of_the_image(network, photo):
    saliency = KerasModel(network).predict(photo)
    assert saliency.shape == (30, 45) and saliency.dtype == np.float32
    assert saliency.std() > 0.01
    np.testing.assert_allclose(saliency, expected_map(network, photo), atol=1e-5)


def test_every_kind_of_source_gives_the_same_map(network, photo, tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    model = KerasModel(network)
    expected = model.predict(photo)
    for source in (path, str(path), path.read_bytes(), Image.open(path)):
        np.testing.assert_array_equal(model.predict(source), expected)


def test_images_of_different_sizes_are_predicted_in_batches(network, photo):
    model = KerasModel(network)
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
    saliency = KerasModel(network).predict(buffer.getvalue())
    assert saliency.shape == (45, 30)
    upright = np.rot90(photo, -1).copy()
    np.testing.assert_allclose(
        saliency, KerasModel(network).predict(upright), atol=1e-6
    )


def test_invalid_images_and_models_are_reported(network, tmp_path):
    model = KerasModel(network)
    with pytest.raises(ValueError, match=r"uint8, 0 to 255, \[H, W, 3\].*float64"):
        model.predict(np.zeros([4, 4, 3]))
    with pytest.raises(PicanetError, match="nowhere.jpg"):
        model.predict("nowhere.jpg")
    for wrong, came in ((3, "3 .int"), (None, "None .NoneType"), ([3], "3 .int")):
        with pytest.raises(TypeError, match=f"a path, encoded.*Received: {came}.$"):
            model.predict(wrong)
    with pytest.raises(PicanetError, match="no model file .*nowhere.keras"):
        picanet_tf.load_model("nowhere.keras")
    (tmp_path / "text.keras").write_text("not a model")
    with pytest.raises(PicanetError, match="Cannot load the model .*text.keras"):
        picanet_tf.load_model(tmp_path / "text.keras")
    layers = [keras.Input([2]), keras.layers.Dense(1)]
    foreign = keras.Sequential(layers, name="two")
    foreign.save(tmp_path / "foreign.keras")
    with pytest.raises(PicanetError, match="foreign.keras: The model two was not"):
        picanet_tf.load_model(tmp_path / "foreign.keras")


def test_a_saved_network_predicts_the_same(network, photo, tmp_path):
    network.save(tmp_path / "model.keras")
    loaded = picanet_tf.load_model(tmp_path / "model.keras", precision="float32")
    np.testing.assert_allclose(
        loaded.predict(photo), KerasModel(network).predict(photo), atol=1e-6
    )


def test_array_of_several_images_gives_several_maps(network, photo):
    model = KerasModel(network)
    maps = model.predict(np.stack([photo, photo[::-1]]))
    assert [m.shape for m in maps] == [(30, 45)] * 2
    np.testing.assert_allclose(maps[1], model.predict(photo[::-1].copy()), atol=1e-6)


def test_predict_named_keeps_name_image_and_map_together(network, photo):
    model = KerasModel(network)
    images = {f"{n}": np.roll(photo[: 30 - n], n, axis=1) for n in range(5)}
    for number, (name, image, saliency) in enumerate(
        model.predict_named(images.items(), batch_size=2)
    ):
        assert name == f"{number}" and image is images[name]
        np.testing.assert_allclose(saliency, model.predict(image), atol=1e-6)
    assert number == 4


def test_predict_named_holds_no_more_than_a_batch(network, photo):
    read = []

    def named():
        for number in range(7):
            read.append(number)
            yield number, photo

    for number, _, _ in KerasModel(network).predict_named(named(), batch_size=3):
        assert len(read) <= 3 * (number // 3 + 1)


@pytest.mark.parametrize("shape", [(0, 5, 3), (4,), (4, 4, 2), (2, 1, 4, 4, 3)])
def test_arrays_that_are_not_images_are_rejected(network, shape):
    with pytest.raises(ValueError, match="not empty. Received: uint8"):
        KerasModel(network).predict(np.zeros(shape, np.uint8))


def test_batch_size_of_zero_is_an_error(network, photo):
    with pytest.raises(ValueError, match="`batch_size` must be at least 1"):
        KerasModel(network).predict([photo], batch_size=0)


def convolution(images, name="stage1"):
    return keras.layers.Conv2D(1, 3, padding="same", name=name)(images)


def test_foreign_models_are_refused(tmp_path):
    """Whatever they are called: a network of ours says which one it is."""
    images, more = keras.Input((16, 16, 3)), keras.Input((16, 16, 3))
    added = keras.layers.Add()([images, more])
    for model in (
        keras.Model(images, {"other": convolution(images)}),
        keras.Model(images, {"stage1": convolution(images)}),
        keras.Model([images, more], {"stage1": convolution(added)}),
    ):
        path = tmp_path / "foreign.keras"
        model.name = "picanet_UNet"
        model.save(path)
        with pytest.raises(PicanetError) as raised:
            picanet_tf.load_model(path)
        assert str(raised.value) == (
            f"{path}: The model picanet_UNet was not built by `build_model`: it has "
            "no network configuration"
        )


def rewrite_config(source, target, **changes):
    """Copies a .keras file; the network that it says it is has other settings."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"] |= changes
                content = json.dumps(config).encode()
            new.writestr(name, content)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"task": "poetry"}, "Unknown task 'poetry'. Available: saliency, "),
        ({"variant": "6GUP"}, "Cannot read variant '6GUP'"),
        ({"variant": "2LAP"}, "objects could not be loaded"),
        ({"image_size": 33}, "`image_size` must be a multiple of 8"),
        ({"lstm_options": 3}, "`lstm_options` must be"),
        ({"width": -1}, "`width` must be above 0"),
        ({"width": 1 / 16}, "objects could not be loaded"),
        ({"width": 30}, r"`width` 30 implies a network of 81,\d*,\d*,\d* bytes"),
        ({"poem": 1}, "Network.* could not be deserialized"),
    ],
)
def test_file_whose_config_does_not_fit_is_reported(network, tmp_path, changes, rule):
    network.save(tmp_path / "model.keras")
    path = tmp_path / "changed.keras"
    rewrite_config(tmp_path / "model.keras", path, **changes)
    with pytest.raises(PicanetError, match=rule) as raised:
        picanet_tf.load_model(path)
    assert str(raised.value).startswith(f"Cannot load the model {path}: ")
    assert "\n" not in str(raised.value)


def test_code_inside_a_file_is_not_run(tmp_path):
    images = keras.Input((16, 16, 3))
    canary = str(tmp_path / "canary")
    double = lambda x, file=canary: (open(file, "w").close(), x * 2)[1]  # noqa: E731
    doubled = keras.layers.Lambda(double)(images)
    path = tmp_path / "code.keras"
    keras.Model(images, {"stage1": convolution(doubled)}).save(path)
    Path(canary).unlink()
    with pytest.raises(
        PicanetError, match=f"Cannot load the model {path}: .*[Ll]ambda"
    ):
        picanet_tf.load_model(path)
    keras.config.enable_unsafe_deserialization()  # Of somebody who trusts other files.
    try:
        with pytest.raises(PicanetError, match="[Ll]ambda"):
            picanet_tf.load_model(path)
    finally:
        global_state.set_global_attribute("safe_mode_saving", None)
    assert not Path(canary).exists()


def test_damaged_model_files_are_reported_in_one_line(network, tmp_path):
    path = tmp_path / "spoilt.keras"
    network.save(path)
    whole = path.read_bytes()
    middle = whole.index(b"config.json")
    for data, rule in (
        (whole[: len(whole) // 2], "not a .keras archive, or a truncated one"),
        (b"no model", "not a .keras archive"),
        (b"", "not a .keras archive"),
        (whole[:middle] + b"donfig" + whole[middle + 6 :], "File name in directory"),
    ):
        path.write_bytes(data)
        with pytest.raises(PicanetError, match=rule) as raised:
            picanet_tf.load_model(path)
        assert str(raised.value).startswith(f"Cannot load the model {path}: ")
        assert "\n" not in str(raised.value)


def test_model_file_without_read_permission_is_reported(network, tmp_path, monkeypatch):
    path = tmp_path / "locked.keras"
    network.save(path)

    def refuse(name, *_, **__):  # A mode would not stop root.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(name))

    monkeypatch.setattr(io, "open", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(PicanetError) as raised:
        picanet_tf.load_model(path)
    assert str(raised.value) == f"Cannot load the model {path}: Permission denied"


def test_decompression_bomb_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", bytes(50_000_000))
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(PicanetError, match="unpacks to 50,000,000 bytes"):
        picanet_tf.load_model(path)
