"""TFLite files in both interpreters, against the Keras model."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.detection import build_model as build_detector
from picanet_tf.detection.variants import VARIANTS as DETECTORS
from picanet_tf.segmentation import build_model as build_segmenter
from picanet_tf.serving.network import serving_network
from picanet_tf.serving.request import QUANTIZATIONS
from picanet_tf.serving.tflite import file_name, runner, write_tflite
from tests.serving.networks import pixels, trained_like, varied

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


@pytest.mark.parametrize("package", ["tensorflow", "ai_edge_litert"])
@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_takes_any_number_of_images(network, files, quantization, package):
    run = runner(files / file_name(quantization), interpreter(package))
    images = pixels(3, seed=8)
    wanted = keras.ops.sigmoid(network(images, training=False)["stage1"])
    for count in (3, 1, 2):
        found = run(images[:count])
        assert found.shape == (count, 64, 64, 1) and found.dtype == np.float32
        difference = np.abs(found - wanted[:count])
        assert difference.max() < MOST[quantization][0]
        assert difference.mean() < MOST[quantization][1]
    # An image's map does not depend on what else is in the batch.
    alone = run(images[1])
    np.testing.assert_allclose(found[1], alone, atol=MOST[quantization][1])


def test_resized_input_gives_the_same_maps(network, files):
    """As C++, Java and Swift do it, without a signature runner."""
    lite = tf.lite.Interpreter(str(files / "picanet_float32.tflite"))
    (image,), (saliency,) = lite.get_input_details(), lite.get_output_details()
    assert list(image["shape_signature"]) == [-1, 64, 64, 3]
    images = pixels(3, seed=8)
    lite.resize_tensor_input(image["index"], images.shape, strict=True)
    lite.allocate_tensors()
    lite.set_tensor(image["index"], images)
    lite.invoke()
    wanted = keras.ops.sigmoid(network(images, training=False)["stage1"])
    found = lite.get_tensor(saliency["index"])
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_quantized_files_are_smaller(files):
    sizes = {q: (files / file_name(q)).stat().st_size for q in QUANTIZATIONS}
    assert sizes["float16"] < 0.7 * sizes["none"]
    assert sizes["dynamic"] < 0.6 * sizes["none"]


def test_json_describes_input_and_output(files):
    float32 = json.loads((files / "picanet_float32.json").read_text())
    assert float32["batch"] == "any" and "batch_reason" not in float32
    assert float32["input"]["name"] == "image"
    assert float32["input"]["shape"] == [1, 64, 64, 3]
    assert float32["input"]["dtype"] == float32["output"]["dtype"] == "float32"
    assert "scale" not in float32["input"]
    int8 = json.loads((files / "picanet_int8.json").read_text())
    assert int8["batch"] == "any"
    assert int8["input"]["dtype"] == int8["output"]["dtype"] == "uint8"
    assert int8["input"]["scale"] == 1 and int8["input"]["zero_point"] == 0
    assert int8["output"]["scale"] == 1 / 256 and int8["output"]["zero_point"] == 0


def test_json_suffices_to_run_the_file(network, files):
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


@pytest.mark.parametrize("task", ["saliency", "segmentation", "detection"])
def test_int8_takes_photos_brighter_than_those_that_calibrated(
    network, tiny_network, tmp_path, task
):
    if task != "saliency":
        network = varied(tiny_network(task=task))
    path, seen = tmp_path / "a.tflite", []
    photos = pixels(4, seed=20)

    def dark():
        for image in np.floor(photos * 0.43):
            seen.append(image.copy())
            yield image

    write_tflite(network, path, "int8", calibration=dark())
    assert len(seen) == 4
    told = json.loads(path.with_suffix(".json").read_text())["input"]
    assert told["dtype"] == "uint8"
    assert (told["scale"], told["zero_point"]) == (1, 0)
    if task == "saliency":
        bright = np.minimum(photos + 60, 255)
        wanted = keras.ops.sigmoid(network(bright, training=False)["stage1"])
        assert np.std(wanted) > 0.05
        found = runner(path)(bright)
        assert np.abs(found - wanted).max() < MOST["int8"][0]
        assert np.abs(found - wanted).mean() < MOST["int8"][1]


@pytest.mark.parametrize("variant", ["4LAP_2AC", "6ReNet_5432LC", "6G_5432L_MaxP"])
def test_other_modules_are_converted_to_builtins(variant, tmp_path):
    network = trained_like(variant, image_size=32)
    write_tflite(network, tmp_path / "a.tflite")
    run = runner(tmp_path / "a.tflite")
    for count in (1, 3):
        images = pixels(count, 32)
        wanted = keras.ops.sigmoid(network(images, training=False)["stage1"])
        assert np.abs(run(images) - wanted).max() < 1e-4


@pytest.mark.parametrize("variant", ["DeepLab_AC", "6GAP_543LAP", "6ReNet_543LC"])
def test_segmentation_takes_any_number_of_images(variant, tmp_path):
    network = varied(build_segmenter(variant, image_size=64, width=1 / 32))
    write_tflite(network, tmp_path / "a.tflite")
    assert json.loads((tmp_path / "a.json").read_text())["batch"] == "any"
    images = pixels(3)
    wanted = serving_network(network, attention=False)(images)["logits"]
    scale = np.std(wanted, axis=(0, 1, 2)).max()
    assert scale > 0.05
    run = runner(tmp_path / "a.tflite")
    for count in (1, 3):
        found = run(images[:count])
        assert found.shape == (count, 64, 64, 21)
        np.testing.assert_allclose(found, wanted[:count], atol=1e-5 * max(1, scale))


@pytest.mark.parametrize("variant", DETECTORS)
def test_batch_of_detection_depends_on_its_graph(variant, tmp_path):
    network = varied(build_detector(variant, 64, width=1 / 32))
    write_tflite(network, tmp_path / "a.tflite")
    told = json.loads((tmp_path / "a.json").read_text())
    images = pixels(3)
    wanted = serving_network(network, attention=False)(images)["raw"]
    assert np.std(wanted, axis=0).max() > 0.05
    run = runner(tmp_path / "a.tflite")
    if variant == "478AC_910GAP":
        assert told["batch"] == 1
        assert told["batch_reason"].startswith(
            "the attention convolution context8_ac has a stride;"
        )
        counts = (1,)
    else:
        assert told["batch"] == "any" and "batch_reason" not in told
        counts = (1, 3)
    for count in counts:
        found = run(images[:count])
        assert found.shape == (count, *wanted.shape[1:])
        np.testing.assert_allclose(found, wanted[:count], rtol=1e-5, atol=1e-5)


def test_the_memory_of_all_tensors_is_planned_before_the_run(files):
    """Else the first map takes half as long again, and more memory."""
    lite = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = lite.Interpreter(
        str(files / "picanet_float32.tflite"),
        experimental_op_resolver_type=lite.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    for operation in interpreter._get_ops_details():
        for output in operation["outputs"]:
            interpreter.get_tensor(output)  # raises for a tensor without memory
