"""The LiteRT engine compared with the Keras one, with the same weights."""

import threading
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.core.errors import PicanetError
from picanet_tf.drawing.cutouts import cut_out
from picanet_tf.inference import KerasModel, LiteRTModel
from picanet_tf.inference import litert as module
from picanet_tf.inference.litert import LiteRTFile
from tests.inference import networks
from tests.inference.networks import photo


@pytest.fixture
def model(litert_file):
    return LiteRTModel(litert_file, threads=1)


def test_the_engines_give_the_same_maps(model, network):
    theirs = KerasModel(network)
    assert (model.spec.name, model.image_size) == ("saliency", 32)
    assert type(model.spec) is type(theirs.spec)
    for seed, size in enumerate([(30, 45), (1, 1), (300, 7), (32, 32), (200, 333)]):
        image = photo(size, seed)
        ours = model.predict(image)
        assert ours.dtype == np.float32 and ours.shape == size
        assert 0 <= ours.min() and ours.max() <= 1
        np.testing.assert_allclose(ours, theirs.predict(image), atol=1e-4)
    assert model.predict(photo()).std() > 0.01


def test_attention_is_the_same(tmp_path):
    network = networks.network("6GAP_5432LAP", gain=4)
    model = LiteRTModel(networks.write(network, tmp_path))
    ours, theirs = model.predict(photo()), KerasModel(network).predict(photo())
    assert theirs.std() > 0.05
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_no_images_give_no_maps(model):
    assert model.predict([]) == []
    assert list(model.infer(np.zeros([0, 32, 32, 3], np.float32))) == []


def test_several_images_one_after_the_other(model):
    images = [photo((20 + n, 30), n) for n in range(5)]
    maps = model.predict(images, batch_size=2)
    assert [m.shape for m in maps] == [(20 + n, 30) for n in range(5)]
    for image, saliency in zip(images, maps, strict=True):
        np.testing.assert_array_equal(saliency, model.predict(image))


def test_a_map_is_not_written_over_by_the_next_one(model):
    first = model.predict(photo(seed=1))
    before = first.copy()
    model.predict(photo(seed=2))
    np.testing.assert_array_equal(first, before)
    batch = np.stack([model.resize(photo(seed=n)) for n in (1, 2)])
    one, two = list(model.infer(batch))
    assert one.shape == (32, 32, 1) and np.abs(one - two).max() > 1e-3


def test_results_are_rendered_as_pictures(model):
    image = photo()
    saliency = model.predict(image)
    cutout = np.asarray(model.render("cutout", image, saliency))
    np.testing.assert_array_equal(cutout, cut_out(image, saliency))
    drawn = np.asarray(model.render("map", image, saliency))
    np.testing.assert_array_equal(drawn, np.round(saliency * 255))


def test_the_network_sees_transparency_over_white(model):
    clear = np.dstack([photo(), np.zeros(photo().shape[:2], np.uint8)])
    np.testing.assert_array_equal(model.resize(clear), np.full((32, 32, 3), 255))
    np.testing.assert_array_equal(
        model.predict(clear), model.predict(np.full_like(photo(), 255))
    )


def test_threads_share_a_model(model):
    images = [photo((25 + n, 40), n) for n in range(5)]
    expected = [model.predict(image) for image in images]
    found, errors = {}, []

    def work(number):
        try:
            for step in range(len(images)):  # each in another order
                index = (number + step) % len(images)
                found[number, index] = model.predict(images[index])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and len(found) == 40
    for (_, index), saliency in found.items():
        np.testing.assert_array_equal(saliency, expected[index])


def test_int8_file_gives_similar_maps(network, tmp_path):
    model = LiteRTModel(networks.write(network, tmp_path, "int8"))
    assert (
        model._loaded.file._input["dtype"] == np.uint8
    )  # or nothing is quantised here
    ours, theirs = model.predict(photo()), KerasModel(network).predict(photo())
    assert ours.dtype == np.float32 and ours.std() > 0.01
    assert np.abs(ours - theirs).mean() < 0.05
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.9


def test_tensorflows_interpreter_runs_it_too(litert_file, model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = LiteRTFile(litert_file, 1, tf.lite.Interpreter)
    assert (file.image_size, file.output) == (32, "saliency")
    image = model.resize(photo())
    (expected,) = model.infer(image[np.newaxis])
    np.testing.assert_allclose(file(image), expected, atol=1e-5)


def converted(network, path, *, signature=True):
    source = keras.export.ExportArchive()
    shape = [1, *network.input.shape[1:]]
    specification = [tf.TensorSpec(shape, tf.float32, name="image")]
    source.add_endpoint("serving_default" if signature else "x", network, specification)
    source.write_out(str(path.with_suffix("")), verbose=False)
    kept = None if signature else ["x"]
    content = tf.lite.TFLiteConverter.from_saved_model(
        str(path.with_suffix("")), signature_keys=kept
    ).convert()
    path.write_bytes(content)


def foreign(side, width, channels, name):
    images = keras.Input((side, width, channels), name="image")
    return keras.Model(images, {name: keras.layers.Conv2D(1, 1, name=name)(images)})


def dense():
    numbers = keras.Input([2], name="image")
    return keras.Model(numbers, {"saliency": keras.layers.Dense(1)(numbers)})


NO_FILE = "not a LiteRT file of one square RGB image: "


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (dense, NO_FILE + "its input is .1, 2."),
        (lambda: foreign(16, 24, 3, "saliency"), NO_FILE + "its input is .1, 16, 24"),
        (
            lambda: foreign(16, 16, 1, "saliency"),
            NO_FILE + "its input is .1, 16, 16, 1",
        ),
        (lambda: foreign(16, 16, 3, "scores"), "outputs 'scores'; the LiteRT engine p"),
    ],
)
def test_foreign_networks_are_refused(make, reason, tmp_path):
    path = tmp_path / "foreign.tflite"
    converted(make(), path)
    with pytest.raises(PicanetError, match=reason) as raised:
        LiteRTModel(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_file_of_another_signature_is_refused(tmp_path):
    path = tmp_path / "foreign.tflite"
    converted(foreign(16, 16, 3, "saliency"), path, signature=False)
    with pytest.raises(PicanetError, match=f"model {path}: {NO_FILE}.*signature"):
        LiteRTModel(path)


def test_damaged_files_are_reported_in_one_line(litert_file, tmp_path):
    path, whole = tmp_path / "spoilt.tflite", litert_file.read_bytes()
    for content in (b"", b"text", bytes(5000), whole[:8], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(PicanetError) as raised:
            LiteRTModel(path)
        assert str(raised.value).startswith(f"Cannot load the model {path}: {NO_FILE}")
        assert "\n" not in str(raised.value) and len(str(raised.value)) < 500
    with pytest.raises(PicanetError, match="Cannot load the model .*gone.tflite"):
        LiteRTModel(tmp_path / "gone.tflite")


def test_missing_package_is_reported(litert_file, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(
        PicanetError, match="requires the package ai-edge-litert, .*: pip"
    ):
        LiteRTModel(litert_file)


def test_interpreter_gets_the_requested_threads(litert_file, monkeypatch):
    asked = []
    whole = module._interpreter_class()

    def interpreter(path, num_threads):
        asked.append(num_threads)
        return whole(path, num_threads=num_threads)

    monkeypatch.setattr(module, "_interpreter_class", lambda: interpreter)
    monkeypatch.setattr(module, "cores", lambda: 5)
    LiteRTModel(litert_file, threads=2)
    LiteRTModel(litert_file)
    assert asked == [2, 5]
