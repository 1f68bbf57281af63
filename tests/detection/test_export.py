"""Detection networks exported: one answer from Keras, SavedModel, TFLite and NumPy."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.detection import build_model, comparison, decode, default_boxes
from picanet_tf.detection.postprocess import detections
from picanet_tf.inference import KerasModel
from picanet_tf.serving import exporting, tflite
from picanet_tf.serving.network import serving_network, with_outputs
from picanet_tf.serving.request import ExportRequest
from picanet_tf.serving.saved_model import Loaded, operations
from tests.serving.networks import encoded, photo, pixels

SIDE = 64
BOXES = len(decode.default_boxes(SIDE))
FOUND = {
    "boxes": ("float32", [None, 200, 4]),
    "scores": ("float32", [None, 200]),
    "classes": ("int32", [None, 200]),
    "count": ("int32", [None]),
}
PHOTOS = [photo((30, 45), 1), photo((50, 40), 2)]


def trained_like(variant, image_size=SIDE):
    """A network that is sure of a few boxes, as a trained one is."""
    keras.utils.set_random_seed(0)
    network = build_model(variant, image_size, width=1 / 32)
    rng = np.random.default_rng(0)
    for weight in network.weights:
        if weight.name == "gamma" and "norm" in weight.path:
            weight.assign(weight * rng.uniform(0.6, 1.4, weight.shape))
        if weight.name in ("beta", "moving_mean"):
            weight.assign(rng.normal(0, 0.1, weight.shape))
        if weight.name == "moving_variance":
            weight.assign(rng.uniform(0.7, 1.4, weight.shape))
    outputs = network(pixels(2, image_size), training=False)
    for name, spread in (("scores", 3.0), ("locations", 1.0)):
        scale = spread / np.std(outputs[name])
        for layer in network.layers:
            if layer.name.endswith(f"_{name}"):
                layer.kernel.assign(layer.kernel * scale)
    return network


def of_keras(network, images):
    """(what the postprocessing makes of the network's outputs, these as `raw`)."""
    outputs = network(images, training=False)
    locations, scores = outputs["locations"], outputs["scores"]
    found = detections(locations, scores, images.shape[1])
    raw = np.concatenate([locations, scores], axis=-1)
    return {name: value.numpy() for name, value in found.items()}, raw


def same(found, wanted):
    """Same count and classes, boxes and scores as near as rounding lets them."""
    count = int(np.max(wanted["count"]))
    assert count > 5
    np.testing.assert_array_equal(found["count"], wanted["count"])
    np.testing.assert_array_equal(found["classes"], wanted["classes"])
    np.testing.assert_allclose(found["boxes"], wanted["boxes"], atol=1e-4)
    np.testing.assert_allclose(found["scores"], wanted["scores"], atol=1e-4)


@pytest.fixture(scope="module")
def network():
    return trained_like("SSD300")


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    request = ExportRequest(
        tmp_path_factory.mktemp("exported"), formats=("saved_model", "tflite")
    )
    return exporting.export(network, request, PHOTOS)


@pytest.fixture(scope="module")
def loaded(exported):
    return Loaded(exported[0])


def test_export_writes_the_expected_files(exported):
    folder, (saved, lite) = exported
    assert saved.note == "serving_default, image_bytes, detections, raw"
    assert saved.difference < 1e-4 and lite.difference < 1e-4
    assert sorted(path.name for path in (folder / "tflite").iterdir()) == [
        "decode.py",
        "picanet_float32.json",
        "picanet_float32.tflite",
    ]
    told = json.loads((folder / "tflite" / "picanet_float32.json").read_text())
    assert told["output"]["name"] == "raw" and "decode.py" in told["output"]["content"]
    assert told["output"]["shape"] == [1, BOXES, 25]
    assert "CombinedNonMaxSuppression" in operations(folder)


def test_signatures(loaded):
    image = {"image": ("float32", [None, SIDE, SIDE, 3])}
    image_bytes = {"image_bytes": ("string", [None])}
    wanted = {
        "serving_default": (image, FOUND),
        "image_bytes": (image_bytes, FOUND),
        "detections": (image, FOUND),
        "raw": (image, {"raw": ("float32", [None, BOXES, 25])}),
    }
    found = {
        name: tuple(
            {key: (spec.dtype.name, spec.shape.as_list()) for key, spec in specs}
            for specs in (
                signature.structured_input_signature[1].items(),
                signature.structured_outputs.items(),
            )
        )
        for name, signature in loaded.signatures.items()
    }
    assert found == wanted


@pytest.mark.parametrize(("signature", "times"), [("raw", 0), ("detections", 1)])
def test_signatures_run_non_maximum_suppression_at_most_once(
    exported, signature, times
):
    """In a session, as TF Serving has it, once TensorFlow has optimised the graph."""
    run = tf.compat.v1.RunMetadata()
    options = tf.compat.v1.RunOptions(output_partition_graphs=True)
    config = tf.compat.v1.ConfigProto()  # A server's, whatever that of the tests is.
    with tf.Graph().as_default(), tf.compat.v1.Session(config=config) as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(exported[0]))
        asked = loaded.signature_def[signature]
        feeds = {asked.inputs["image"].name: pixels(1, SIDE)}
        outputs = [tensor.name for tensor in asked.outputs.values()]
        session.run(outputs, feeds, options=options, run_metadata=run)
    ran = [node.op for graph in run.partition_graphs for node in graph.node]
    assert ran.count("CombinedNonMaxSuppression") == times
    assert not any(op.endswith("PartitionedCall") for op in ran)


@pytest.mark.parametrize("count", [1, 3])
def test_the_saved_model_equals_the_postprocessing(network, loaded, count):
    images = pixels(count, SIDE, seed=3)
    wanted, raw = of_keras(network, images)
    same(loaded("serving_default", image=images), wanted)
    np.testing.assert_allclose(loaded("raw", image=images)["raw"], raw, atol=1e-4)


def test_image_bytes_equals_predicting(network, loaded):
    photos = [photo((30, 45), 1), photo((90, 20), 2), photo((64, 64), 3)]
    data = [encoded(image, "PNG") for image in photos]
    found = loaded("image_bytes", image_bytes=np.array(data, object))
    for number, wanted in enumerate(KerasModel(network).predict(photos)):
        height, width = photos[number].shape[:2]
        kept = slice(found["count"][number])
        assert len(wanted.scores) == found["count"][number] > 5
        np.testing.assert_array_equal(found["classes"][number][kept], wanted.classes)
        np.testing.assert_allclose(
            found["boxes"][number][kept] * [height, width, height, width],
            wanted.boxes,
            atol=1e-2,
        )


def test_tflite_and_its_decoder_equal_the_saved_model(exported, loaded, tmp_path):
    """`decode.py` as it was put there, by an interpreter that has nothing but NumPy."""
    files = exported[0] / "tflite"
    image = pixels(1, SIDE, seed=4)
    raw = tflite.runner(files / "picanet_float32.tflite")(image[0])
    np.save(tmp_path / "raw.npy", raw)
    code = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(['tensorflow', 'keras', 'picanet_tf'])\n"
        "import decode, numpy\n"
        f"found = decode.detections(numpy.load('raw.npy'), {SIDE})\n"
        "numpy.savez('found.npz', **found)\n"
        f"decode.main('raw.npy', '{SIDE}')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(files)},
        capture_output=True,
        text=True,
    )
    assert not run.returncode, run.stderr
    found = dict(np.load(tmp_path / "found.npz"))
    served = loaded("serving_default", image=image)
    (count,) = served.pop("count")
    same(
        {"count": len(found["scores"]), **found},
        {"count": count, **{name: value[0][:count] for name, value in served.items()}},
    )
    title, first, *_ = run.stdout.splitlines()
    assert title == "image 0" and len(run.stdout.splitlines()) == count + 1
    label, score, *box = first.split()
    assert int(label) == found["classes"][0]
    np.testing.assert_allclose(
        [float(edge) for edge in box], found["boxes"][0], 0, 1e-5
    )


@pytest.mark.slow
def test_a_strided_context_exports(tmp_path):
    """conv8_2's convolution of stride 2 is AC's own, and GAP wants its map's sides."""
    network = trained_like("8AC_9GAP")
    folder, (saved,) = exporting.export(
        network, ExportRequest(tmp_path / "out"), PHOTOS[:1]
    )
    assert saved.difference < 1e-4
    images = pixels(1, SIDE, seed=6)
    wanted, raw = of_keras(network, images)
    loaded = Loaded(folder)
    same(loaded("detections", image=images), wanted)
    np.testing.assert_allclose(loaded("raw", image=images)["raw"], raw, atol=1e-4)


@pytest.mark.slow
def test_export_at_another_image_size(network, tmp_path):
    request = ExportRequest(tmp_path, image_size=48)
    folder, (artefact,) = exporting.export(network, request, PHOTOS[:1])
    assert artefact.difference < 1e-4
    found = Loaded(folder)("detections", image=pixels(1, 48))
    assert found["boxes"].shape == (1, 200, 4)


def naive(locations, scores, side):
    """The postprocessing of one image, box by box: [(class, score, box)]."""
    defaults = np.float64(default_boxes.default_boxes(side))
    powers = np.exp(np.float64(scores))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    found = []
    for label in range(1, scores.shape[1]):
        kept = []
        for index in np.argsort(-probabilities[:, label], kind="stable")[:400]:
            score = probabilities[index, label]
            if score <= 0.01 or len(kept) == 200:
                break
            y, x, height, width = defaults[index]
            dy, dx, dh, dw = np.float64(locations[index]) * (0.1, 0.1, 0.2, 0.2)
            y, x = y + dy * height, x + dx * width
            height, width = height * np.exp(dh), width * np.exp(dw)
            box = (y - height / 2, x - width / 2, y + height / 2, x + width / 2)
            if all(overlap(box, other) <= 0.45 for _, _, other in kept):
                kept.append((label, score, box))
        found += kept
    found.sort(key=lambda row: -row[1])
    return found[:200]


def overlap(a, b):
    height = min(a[2], b[2]) - max(a[0], b[0])
    width = min(a[3], b[3]) - max(a[1], b[1])
    if min(height, width) <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return height * width / (sum(areas) - height * width)


@pytest.mark.parametrize(("spread", "side"), [(0.3, SIDE), (4.0, SIDE), (0.3, 128)])
@pytest.mark.parametrize("seed", range(3))
def test_the_postprocessing_equals_a_naive_one(spread, side, seed):
    """With many boxes of nearly the same score, some sure ones, and one class alone.

    Of the last one's boxes, 800 overlap so much that 400 of them leave less than 200.
    """
    rng = np.random.default_rng(seed)
    count = len(decode.default_boxes(side))
    locations = np.float32(rng.normal(0, 1, (1, count, 4)))
    scores = np.float32(rng.normal(0, spread, (1, count, 21)))
    if side > SIDE:
        locations[..., 2:] += 5  # e times as high and as wide
        scores[0, rng.permutation(count)[:800], 7] += 5
    found = detections(locations, scores, side)
    labels, certain, boxes = zip(*naive(locations[0], scores[0], side), strict=True)
    count = int(found["count"][0])
    assert count == len(labels)
    np.testing.assert_array_equal(found["classes"][0, :count], labels)
    np.testing.assert_allclose(found["scores"][0, :count], certain, atol=1e-5)
    np.testing.assert_allclose(
        found["boxes"][0, :count], np.clip(boxes, 0, 1), atol=1e-5
    )
    raw = np.concatenate([locations, scores], axis=-1)[0]
    by_numpy = decode.detections(raw, side)
    assert len(by_numpy["scores"]) == count
    np.testing.assert_array_equal(by_numpy["classes"], labels)
    np.testing.assert_allclose(by_numpy["boxes"], found["boxes"][0, :count], atol=1e-5)


def test_no_detections_give_empty_results():
    raw = np.zeros([BOXES, 25], np.float32)
    raw[:, 4] = 50  # background
    found = decode.detections(raw, SIDE)
    assert {name: value.shape for name, value in found.items()} == {
        "boxes": (0, 4),
        "scores": (0,),
        "classes": (0,),
    }
    empty = detections(raw[None, :, :4], raw[None, :, 4:], SIDE)
    assert empty["count"] == 0
    empty = {name: value.numpy() for name, value in empty.items()}
    assert comparison.difference(empty, empty) == 0


def test_comparison_tolerates_only_swaps_and_single_strays():
    rng = np.random.default_rng(0)
    corner, size = rng.uniform(0, 0.5, (2, 1, 50, 2))
    wanted = {
        "boxes": np.concatenate([corner, corner + size], axis=-1),
        "scores": np.linspace(0.9, 0.2, 50)[np.newaxis],
        "classes": rng.integers(1, 21, (1, 50)),
        "count": np.array([50]),
    }

    def off(**changed):
        return comparison.difference({**wanted, **changed}, wanted)

    swapped = np.r_[1, 0, 3, 2, 5, 4, 6:50]
    nearly = {name: wanted[name][:, swapped] for name in ("boxes", "classes")}
    assert off() == 0 and 0.01 < off(**nearly) < 0.015
    classes = wanted["classes"].copy()
    classes[0, 7] = classes[0, 7] % 20 + 1
    assert off(classes=classes) == 0
    assert off(classes=wanted["classes"] % 20 + 1) > 0.1
    assert off(boxes=wanted["boxes"][..., [1, 0, 3, 2]]) > 0.1
    assert off(scores=wanted["scores"] - 0.01) == pytest.approx(0.01)
    assert off(count=np.array([40])) > 0.1


@pytest.mark.parametrize("variant", ["478LAP_910GAP", "478AC_910GAP", "478LC_9ReNet"])
def test_folded_equals_unfolded(variant):
    network = trained_like(variant)
    served = with_outputs(serving_network(network, attention=False), "raw")
    images = pixels(2, SIDE, seed=5)
    _, wanted = of_keras(network, images)
    found = served(images, training=False)["raw"]
    assert np.std(wanted) > 0.5
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    kinds = {type(layer).__name__ for layer in served.layers}
    assert "BatchNormalization" not in kinds and "DetectionHead" not in kinds


def test_onnx_has_no_nms(network, tmp_path):
    for package in ("tf2onnx", "onnxruntime"):
        pytest.importorskip(package)
    onnx = pytest.importorskip("onnx")
    request = ExportRequest(tmp_path, formats=("onnx",))
    folder, (artefact,) = exporting.export(network, request, PHOTOS)
    assert artefact.difference < 1e-4
    assert (folder / "onnx" / "decode.py").is_file()
    graph = onnx.load(folder / artefact.name).graph
    assert [output.name for output in graph.output] == ["raw"]
    assert not {node.op_type for node in graph.node} & {"NonMaxSuppression", "TopK"}


def test_tflite_has_no_nms(exported):
    path = exported[0] / "tflite" / "picanet_float32.tflite"
    interpreter = tf.lite.Interpreter(str(path))
    names = {op["op_name"] for op in interpreter._get_ops_details()}
    assert not {name for name in names if "NON_MAX" in name or "Flex" in name}
