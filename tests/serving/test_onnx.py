"""ONNX by Keras' exporter, run by onnxruntime and OpenVINO."""

import importlib.util

import keras
import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.serving import onnx
from picanet_tf.serving.network import serving_network, with_outputs
from tests.serving.networks import pixels, trained_like, varied


@pytest.fixture(scope="module", params=["6GAP_5AC", "4LAP_6ReNet"])
def exported(request, tmp_path_factory):
    """(network, its ONNX file); both variants have a ReNet, one within GAP."""
    for package in ("tf2onnx", "onnx"):
        pytest.importorskip(package)
    network = trained_like(request.param)
    path = tmp_path_factory.mktemp("onnx") / onnx.FILE_NAME
    onnx.write_onnx(serving_network(network, attention=False), path)
    return network, path


def by_onnxruntime(path):
    pytest.importorskip("onnxruntime")
    return onnx.runner(path)


def by_openvino(path):
    openvino = pytest.importorskip("openvino")
    # On processors that have it, OpenVINO computes in bfloat16 if nothing is said.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", options)
    return lambda images: compiled([images])[0]


@pytest.mark.parametrize("load", [by_onnxruntime, by_openvino])
def test_equals_keras(exported, load):
    network, path = exported
    run = load(path)
    for count in (1, 3):
        images = pixels(count, seed=6)
        wanted = keras.ops.sigmoid(network(images, training=False)["stage1"])
        assert np.std(wanted) > 0.05
        found = run(images)
        assert found.shape == (count, 64, 64, 1) and found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_lstms_start_by_themselves_and_nothing_is_left_over(exported):
    import onnx as package

    model = package.load(exported[1])
    package.checker.check_model(model)
    graph = model.graph
    lstms = [node for node in graph.node if node.op_type == "LSTM"]
    assert len(lstms) == 2  # rows and columns, each in both directions
    assert all(len(node.input) == 4 for node in lstms)
    # Three for two directions are too few, six too many, depending on who reads it.
    attributes = {attribute.name for node in lstms for attribute in node.attribute}
    assert attributes == {"direction", "hidden_size"}
    read = {name for node in graph.node for name in node.input}
    read |= {output.name for output in graph.output}
    assert all(read.intersection(node.output) for node in graph.node)
    assert {weight.name for weight in graph.initializer} <= read


def by_opencv(path):
    cv2 = pytest.importorskip("cv2")
    network = cv2.dnn.readNetFromONNX(str(path))

    def run(images):
        network.setInput(images)
        return network.forward()

    return run


def test_opencv_runs_one_image_at_a_time(exported):
    network, path = exported
    ours, theirs = by_onnxruntime(path), by_opencv(path)
    for seed in (6, 7):
        image = pixels(1, seed=seed)
        found = theirs(image)
        assert found.shape == (1, 64, 64, 1) and found.dtype == np.float32
        np.testing.assert_allclose(found, ours(image), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "variant"),
    [
        ("saliency", "6G_5432L_MaxP"),
        ("saliency", "5432LC"),
        ("segmentation", "DeepLab_AC"),
        ("detection", "478LAP_910GAP"),
        ("detection", "478AC_910GAP"),
    ],
)
def test_other_networks_in_every_runtime(tiny_network, tmp_path, task, variant):
    for package in ("tf2onnx", "onnx"):
        pytest.importorskip(package)
    network = varied(tiny_network(variant, task, 64))
    served = serving_network(network, attention=False)
    path = tmp_path / "a.onnx"
    onnx.write_onnx(with_outputs(served, network.task.serving.output), path)
    image = pixels(1, seed=6)
    wanted = served(image)[network.task.serving.output].numpy()
    assert wanted.std() > 0.01
    loads = [by_onnxruntime, by_openvino]
    if variant != "478AC_910GAP":  # OpenCV does not read the reshapes of its stride.
        loads.append(by_opencv)
    for load in loads:
        found = load(path)(image)
        scale = max(1, np.abs(wanted).max())
        np.testing.assert_allclose(found, wanted, atol=1e-4 * scale, err_msg=f"{load}")


def test_missing_packages_are_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "tf2onnx" else find(name) or True,
    )
    with pytest.raises(PicanetError, match="needs tf2onnx: pip install tf2onnx$"):
        onnx.check_packages()
