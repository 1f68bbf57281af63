"""TFLite files in both interpreters, against the Keras model."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.serving.order import QUANTIZATIONS
from picanet_tf.serving.tflite import file_name, runner, write_tflite
from tests.serving.networks import pixels, trained_like

# Largest and mean difference. So narrow a network averages little of the rounding out.
MOST = {
    "none": (1e-5, 1e-6),
    "float16": (4e-3, 5e-4),
    "dynamic": (8e-2, 1e-2),
    "int8": (3e-1, 4e-2),
}


@pytest.fixture(scope="module")
def files(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tflite")
    for quantization in QUANTIZATIONS:
        calibration = pixels(4, seed=20) if quantization == "int8" else ()
        path = folder / file_name(quantization)
        write_tflite(network, path, quantization, calibration=calibration)
    assert {path.suffix for path in folder.iterdir()} == {".tflite", ".json"}
    return folder


def interpreter(name):
    if name == "tensorflow":
        return tf.lite.Interpreter
    return pytest.importorskip("ai_edge_litert.interpreter").Interpreter


@pytest.mark.parametrize("package", ["tensorflow", "ai_edge_litert"])
@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_equals_keras(network, files, quantization, package):
    run = runner(files / file_name(quantization), interpreter(package))
    images = pixels(3, seed=8)
    wanted = keras.ops.sigmoid(network(images, training=False)["stage1"])
    assert np.std(wanted) > 0.05
    for image, saliency in zip(images, wanted, strict=True):
        found = run(image)
        assert found.shape == (64, 64, 1) and found.dtype == np.float32
        difference = np.abs(found - saliency)
        assert difference.max() < MOST[quantization][0]
        assert difference.mean() < MOST[quantization][1]


def test_sizes(files):
    sizes = {q: (files / file_name(q)).stat().st_size for q in QUANTIZATIONS}
    assert sizes["float16"] < 0.7 * sizes["none"]
    assert sizes["dynamic"] < 0.6 * sizes["none"]


def test_the_json_tells_how_to_feed_it(files):
    float32 = json.loads((files / "picanet_float32.json").read_text())
    assert float32["input"]["name"] == "image"
    assert float32["input"]["shape"] == [1, 64, 64, 3]
    assert float32["input"]["dtype"] == float32["output"]["dtype"] == "float32"
    assert "scale" not in float32["input"]
    int8 = json.loads((files / "picanet_int8.json").read_text())
    assert int8["input"]["dtype"] == int8["output"]["dtype"] == "uint8"
    assert int8["input"]["scale"] == pytest.approx(1, abs=0.02)
    assert int8["output"]["scale"] == 1 / 256 and int8["output"]["zero_point"] == 0


def test_the_json_is_enough(network, files):
    """Feeding the int8 file by what its JSON says, without our runner."""
    told = json.loads((files / "picanet_int8.json").read_text())
    signature = tf.lite.Interpreter(str(files / told["file"])).get_signature_runner(
        told["signature"]
    )
    image = pixels(1, seed=9)
    stored = np.round(image / told["input"]["scale"]) + told["input"]["zero_point"]
    outputs = signature(**{told["input"]["name"]: stored.clip(0, 255).astype(np.uint8)})
    found = outputs[told["output"]["name"]] * told["output"]["scale"]
    wanted = keras.ops.sigmoid(network(image, training=False)["stage1"])
    np.testing.assert_allclose(
        found, runner(files / "picanet_int8.tflite")(image[0])[np.newaxis], atol=1e-6
    )
    assert np.abs(found - wanted).max() < MOST["int8"][0]


@pytest.mark.parametrize("variant", ["4LAP_2AC", "6ReNet_5432LC", "6G_5432L_MaxP"])
def test_other_modules_are_builtins_too(variant, tmp_path):
    network = trained_like(variant, image_size=32)
    write_tflite(network, tmp_path / "a.tflite")
    image = pixels(1, 32)
    wanted = keras.ops.sigmoid(network(image, training=False)["stage1"])
    found = runner(tmp_path / "a.tflite")(image[0])
    assert np.abs(found - wanted[0]).max() < 1e-4
