"""The SavedModel as a server meets it: by its signatures, from disk."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.inference import KerasModel
from picanet_tf.serving.network import serving_network
from picanet_tf.serving.saved_model import Loaded, operations, write_saved_model
from tests.serving.networks import encoded, photo, pixels, trained_like


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "1"
    signatures = write_saved_model(
        serving_network(network), folder, network.task, max_pixels=50_000
    )
    assert signatures == ("serving_default", "image_bytes", "attention")
    return folder


@pytest.fixture(scope="module")
def loaded(folder):
    return Loaded(folder)


def saliency(network, images):
    logits = network(images, training=False)["stage1"]
    return keras.ops.convert_to_numpy(keras.ops.sigmoid(logits))


def test_signatures(loaded):
    assert set(loaded.signatures) == {"serving_default", "image_bytes", "attention"}

    def described(tensors):
        return {
            name: (spec.dtype.name, spec.shape.as_list())
            for name, spec in tensors.items()
        }

    image = {"image": ("float32", [None, 64, 64, 3])}
    outputs = {"saliency": ("float32", [None, 64, 64, 1])}
    for name, wanted_in, more_out in [
        ("serving_default", image, {}),
        (
            "image_bytes",
            {"image_bytes": ("string", [None])},
            {"saliency_png_bytes": ("string", [None])},
        ),
        (
            "attention",
            image,
            {
                "attention6": ("float32", [None, 8, 8, 64]),
                "attention5": ("float32", [None, 8, 8, 49]),
            },
        ),
    ]:
        signature = loaded.signatures[name]
        assert described(signature.structured_input_signature[1]) == wanted_in
        assert described(signature.structured_outputs) == {**outputs, **more_out}


@pytest.mark.parametrize("count", [1, 3])
def test_serving_default(network, loaded, count):
    images = pixels(count, seed=3)
    outputs = loaded("serving_default", image=images)
    np.testing.assert_allclose(
        outputs["saliency"], saliency(network, images), atol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("task", ["saliency", "segmentation", "detection"])
def test_no_images_give_no_results(tiny_network, tmp_path, task):
    network = tiny_network(task=task)
    side = network.image_size
    write_saved_model(serving_network(network), tmp_path, network.task)
    loaded = Loaded(tmp_path)
    image, data = np.zeros([1, side, side, 3], np.float32), encoded(photo(), "PNG")
    assert set(loaded.signatures) > set(network.task.serving.signatures)
    for name in loaded.signatures:
        one = {"image_bytes": [data]} if name == "image_bytes" else {"image": image}
        none = (
            {"image_bytes": tf.zeros([0], tf.string)}
            if name == "image_bytes"
            else {"image": image[:0]}
        )
        wanted, found = loaded(name, **one), loaded(name, **none)
        assert found.keys() == wanted.keys()
        for output, value in found.items():
            assert value.shape == (0, *wanted[output].shape[1:])
            assert value.dtype == wanted[output].dtype
    model = KerasModel(network)
    assert model.predict([]) == [] and list(model.infer(image[:0])) == []


def test_attention(network, loaded):
    images = pixels(2, seed=4)
    outputs = loaded("attention", image=images)
    wanted = network(images, training=False)["attention6"]
    np.testing.assert_allclose(outputs["attention6"], wanted, atol=1e-5)
    np.testing.assert_allclose(outputs["attention6"].sum(-1), 1, atol=1e-5)
    assert 0 <= outputs["attention5"].min() < outputs["attention5"].max() <= 1
    np.testing.assert_allclose(
        outputs["saliency"], saliency(network, images), atol=1e-5
    )


def test_image_bytes(network, loaded):
    photos = [photo((30, 45), 1), photo((50, 20), 2), photo((64, 64), 3)]
    data = [
        encoded(image, form)
        for image, form in zip(photos, ("PNG", "GIF", "BMP"), strict=True)
    ]
    # GIFs have 256 colours.
    photos[1] = tf.io.decode_gif(data[1]).numpy()[0]
    outputs = loaded("image_bytes", image_bytes=np.array(data, object))
    model = KerasModel(network)
    for image, small, png in zip(
        photos, outputs["saliency"], outputs["saliency_png_bytes"], strict=True
    ):
        resized = model.resize(image)[np.newaxis]
        np.testing.assert_allclose(small, saliency(network, resized)[0], atol=1e-5)
        grey = tf.io.decode_png(png).numpy()
        assert grey.dtype == np.uint8 and grey.shape == (*image.shape[:2], 1)
        wanted = np.round(model.predict(image) * 255)
        assert grey.std() > 3
        assert np.abs(grey[..., 0] - wanted).max() <= 1


def test_map_of_a_turned_photo_is_upright(loaded):
    from PIL import Image

    tag = Image.Exif()
    tag[0x0112] = 6
    data = encoded(photo(), "JPEG", exif=tag)
    (png,) = loaded("image_bytes", image_bytes=[data])["saliency_png_bytes"]
    assert tf.io.decode_png(png).shape == (45, 30, 1)


def test_corrupt_images_are_reported_and_survived(loaded):
    good = encoded(photo(), "JPEG")
    for bad, message in [
        (good[:300], "Invalid JPEG data"),
        (b"hello", r"none of JPEG, PNG, GIF, BMP\] \[in image number\] \[1\]"),
        (encoded(photo((300, 300)), "PNG"), r"a PNG must have 1 to 50000 pixels"),
    ]:
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            loaded("image_bytes", image_bytes=[good, bad])
        outputs = loaded("image_bytes", image_bytes=[good, good])
        assert np.isfinite(outputs["saliency"]).all()


def test_saved_model_holds_nothing_but_inference(folder):
    found = operations(folder)
    assert "Conv2D" in found and "DecodeJpeg" in found
    wrong = [
        name
        for name in found
        if any(part in name for part in ("Cudnn", "Grad", "Backprop", "PyFunc", "Rng"))
    ]
    assert not wrong
    variables = tf.train.list_variables(str(folder / "variables" / "variables"))
    # Each once; what was folded away or belongs to side outputs is not there either.
    numbers = sum(np.prod(shape, dtype=int) for _, shape in variables)
    network = serving_network(trained_like())
    wanted = sum(np.prod(weight.shape, dtype=int) for weight in network.weights)
    assert 0.98 * wanted < numbers <= wanted


def test_loads_without_this_project_and_without_a_warning(folder, tmp_path):
    code = (
        "import sys, numpy, tensorflow as tf\n"
        f"model = tf.saved_model.load({str(folder)!r})\n"
        "image = tf.zeros([1, 64, 64, 3])\n"
        "out = model.signatures['serving_default'](image=image)['saliency']\n"
        "assert 'picanet_tf' not in sys.modules\n"
        "print(out.shape)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
    )
    assert run.stdout.strip() == "(1, 64, 64, 1)", run.stderr
    assert "gradient" not in run.stderr


def test_a_network_without_attention(tmp_path):
    network = trained_like("UNet")
    signatures = write_saved_model(
        serving_network(network), tmp_path / "1", network.task
    )
    assert signatures == ("serving_default", "image_bytes")
    loaded = Loaded(tmp_path / "1")
    assert set(loaded.signatures) == set(signatures)
    images = pixels(1)
    outputs = loaded("serving_default", image=images)
    assert list(outputs) == ["saliency"]
    np.testing.assert_allclose(
        outputs["saliency"], saliency(network, images), atol=1e-5
    )


def test_warmup_requests_replay(loaded, tmp_path):
    """As TF Serving does at start, whatever the signature."""
    prediction_log = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2",
        reason="pip install --no-deps tensorflow-serving-api",
    )
    from picanet_tf.serving.warmup import write_warmup

    image = {"image": pixels(1)}
    photos = {"image_bytes": np.array([encoded(photo(), "JPEG")], object)}
    path = write_warmup(
        tmp_path,
        [("serving_default", image), ("image_bytes", photos), ("attention", image)],
    )
    replayed = []
    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        inputs = {
            name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()
        }
        signature = request.model_spec.signature_name
        assert np.isfinite(loaded(signature, **inputs)["saliency"]).all()
        replayed.append(signature)
    assert replayed == ["serving_default", "image_bytes", "attention"]


def test_openvino_agrees(folder, loaded):
    """It reads the SavedModel without TensorFlow: an implementation of its own."""
    openvino = pytest.importorskip("openvino", reason="pip install openvino")
    core = openvino.Core()
    graph = core.read_model(folder)
    assert [port.get_any_name() for port in graph.inputs] == ["image"]
    # bfloat16 where the CPU has it, unless told otherwise.
    compiled = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    images = pixels(3)
    (theirs,) = compiled({"image": images}).values()
    ours = loaded("serving_default", image=images)["saliency"]
    assert np.std(ours) > 0.05
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
