"""Whole exports: what they write, what they refuse, what a failure leaves."""

import dataclasses
import errno
import json
import logging
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.core.errors import PicanetError
from picanet_tf.inference.litert import LiteRTFile, LiteRTModel
from picanet_tf.serving import comparison, exporting, warmup
from picanet_tf.serving.request import ExportRequest
from picanet_tf.serving.saved_model import Loaded
from tests.serving.networks import photo, pixels, trained_like

PHOTOS = [photo((30, 45), 1), photo((50, 40), 2)]


@pytest.fixture(scope="module")
def small():
    """What is quickly exported, for what does not depend on the network."""
    return trained_like("UNet", 32, 1 / 32)


def everything(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_export_writes_the_expected_files(network, tmp_path):
    request = ExportRequest(tmp_path / "picanet", formats=("saved_model", "tflite"))
    folder, artefacts = exporting.export(
        network, request, PHOTOS, facts={"steps": 12, "run": "x"}
    )
    assert folder == tmp_path / "picanet" / "1"
    assert everything(folder) == [
        "assets",
        "assets.extra",
        "assets.extra/tf_serving_warmup_requests",
        "assets/model_card.json",
        "saved_model.pb",
        "tflite",
        "tflite/picanet_float32.json",
        "tflite/picanet_float32.tflite",
        "variables",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
    ]
    saved, lite = artefacts
    assert saved.note == "serving_default, image_bytes, attention"
    assert lite.bytes == (folder / lite.name).stat().st_size
    assert 0 < saved.difference < 1e-4 and 0 < lite.difference < 1e-4
    card = json.loads((folder / "assets" / "model_card.json").read_text())
    assert card["variant"] == "6GAP_5AC" and card["image_size"] == 64
    assert card["steps"] == 12 and card["compared_on"] == "2 images"
    files = [name for name in everything(folder) if (folder / name).is_file()]
    assert card["files"] == files
    assert [a["name"] for a in card["artefacts"]] == [a.name for a in artefacts]
    records = list(tf.data.TFRecordDataset(str(folder / warmup.PATH)))
    assert len(records) == 3


def test_export_at_another_size_without_attention(tmp_path):
    request = ExportRequest(tmp_path, version=7, image_size=48)
    folder, (artefact,) = exporting.export(trained_like("UNet"), request, PHOTOS)
    assert folder == tmp_path / "7" and artefact.difference < 1e-4
    assert artefact.note == "serving_default, image_bytes"
    image = np.zeros([2, 48, 48, 3], np.float32)
    outputs = Loaded(folder)("serving_default", image=image)
    assert outputs["saliency"].shape == (2, 48, 48, 1)


def test_attention_in_a_file_of_its_own(tmp_path):
    network = trained_like("6GAP_5LAP_4AC", 32, 1 / 32)
    request = ExportRequest(tmp_path / "x", formats=("tflite",), attention=True)
    folder, (plain, attentive) = exporting.export(network, request, PHOTOS)
    assert attentive.name == "tflite/picanet_float32_attention.tflite"
    assert attentive.note == "with the attention as outputs"
    assert 0 < plain.difference < 1e-4 and 0 < attentive.difference < 1e-4
    files = [LiteRTFile(folder / each.name) for each in (plain, attentive)]
    assert files[0].outputs == ["saliency"] and files[1].output == "saliency"
    images = pixels(2, 32)
    outputs = files[1].run(images)
    np.testing.assert_allclose(outputs["saliency"], files[0](images), atol=1e-6)
    wanted = network.rebuild(return_attention=True)(images, training=False)
    described = json.loads((folder / attentive.name).with_suffix(".json").read_text())
    facts = ("output", "label", "kind", "map", "kernel_size")
    gap, *local = described["attention"]
    assert [tuple(each[name] for name in facts) for each in (gap, *local)] == [
        ("attention6", "D6", "GAP", [4, 4], 4),
        ("attention5", "D5", "LAP", [4, 4], 7),
        ("attention4", "D4", "AC", [4, 4], 7),
    ]
    assert gap["positions"] == [0, 1, 2, 3] and gap["shape"] == [1, 4, 4, 16]
    assert [each["dilation_rate"] for each in local] == [2, 2]
    assert "sum is 1" in local[0]["content"] and "gates" in local[1]["content"]
    assert set(outputs) == {"saliency", "attention6", "attention5", "attention4"}
    for name in set(outputs) - {"saliency"}:
        np.testing.assert_allclose(outputs[name], wanted[name], atol=1e-5)
    # Other programs take the file like the one without.
    model = LiteRTModel(folder / attentive.name)
    np.testing.assert_array_equal(
        model.predict(PHOTOS[0]), LiteRTModel(folder / plain.name).predict(PHOTOS[0])
    )


@pytest.mark.parametrize(
    ("variant", "options", "said"),
    [
        ("UNet", {}, "`attention`: UNet has no attention"),
        ("6GAP", {"quantize": ("int8",)}, "`attention` goes with .* int8"),
        ("6GAP", {"formats": ("saved_model",)}, "`attention` goes with .* saved_model"),
    ],
)
def test_attention_is_refused_where_there_is_none(tmp_path, variant, options, said):
    network = trained_like(variant, 32, 1 / 32)
    request = ExportRequest(
        tmp_path / "x", attention=True, **{"formats": ("tflite",), **options}
    )
    with pytest.raises(PicanetError, match=said):
        exporting.export(network, request, PHOTOS, calibration=PHOTOS)
    assert not list(tmp_path.rglob("*.tflite"))


@pytest.mark.slow
def test_a_network_in_bfloat16_is_compared_in_float32(network, tmp_path):
    """Both files hold its float32 weights: they differ as those of a float32 one do."""
    found = {}
    for dtype in ("float32", "mixed_bfloat16"):
        request = ExportRequest(tmp_path / dtype)
        trained = network.rebuild(dtype=dtype)
        _, (found[dtype],) = exporting.export(trained, request, PHOTOS)
    assert found["mixed_bfloat16"].difference == found["float32"].difference < 1e-4


def test_int8_needs_calibration_images(network, tmp_path):
    request = ExportRequest(tmp_path, formats=("tflite",), quantize=("int8",))
    for none in (None, []):
        with pytest.raises(PicanetError, match="int8 needs real images"):
            exporting.export(network, request, PHOTOS, calibration=none)
    assert everything(tmp_path) == []
    request = dataclasses.replace(request, quantize=("dynamic", "int8"))
    images = (photo((40, 40), n) for n in range(4))  # Used by int8, the last.
    folder, (_, artefact) = exporting.export(
        network, request, PHOTOS, calibration=images
    )
    assert artefact.name == "tflite/picanet_int8.tflite"
    assert 1e-4 < artefact.difference < 0.3
    card = json.loads((folder / "assets" / "model_card.json").read_text())
    assert card["compared_on"] == "6 images"  # brighter and darker, too


def test_int8_is_compared_on_brighter_and_darker_photos(small, tmp_path, monkeypatch):
    """A file that clips them is recognized by the difference."""
    right = LiteRTFile.run

    def empty_when_bright(file, image):
        return {
            name: values * (image.max() <= 128)
            for name, values in right(file, image).items()
        }

    monkeypatch.setattr(LiteRTFile, "run", empty_when_bright)
    dark = [photo((40, 40), n) // 2 for n in range(4)]
    request = ExportRequest(tmp_path, formats=("tflite",), quantize=("int8",))
    _, (artefact,) = exporting.export(small, request, dark[:2], calibration=dark[2:])
    assert artefact.difference > 0.5


def test_an_artefact_that_differs_is_not_published(small, tmp_path, monkeypatch):
    right = exporting.serving_network

    def shifted(*arguments, **options):
        served = right(*arguments, **options)
        bias = served.get_layer("stage1").bias
        bias.assign(bias + 0.1)
        return served

    monkeypatch.setattr(exporting, "serving_network", shifted)
    with pytest.raises(PicanetError, match="SavedModel differs by .*nothing was"):
        exporting.export(small, ExportRequest(tmp_path / "a"), PHOTOS)
    assert everything(tmp_path) == []


@pytest.mark.parametrize(
    ("quantization", "value"),
    [("none", np.nan), ("float16", np.nan), ("dynamic", np.inf), ("int8", np.nan)],
)
def test_nan_for_one_image_is_not_published(
    small, tmp_path, monkeypatch, quantization, value
):
    right, seen = LiteRTFile.run, []

    def nan_for_the_second(file, image):
        seen.append(image)
        outputs = right(file, image)
        if len(seen) == 2:
            outputs["saliency"] = outputs["saliency"] + np.float32(value)
        return outputs

    monkeypatch.setattr(LiteRTFile, "run", nan_for_the_second)
    request = ExportRequest(
        tmp_path / "out", formats=("tflite",), quantize=(quantization,)
    )
    with pytest.raises(PicanetError, match="tflite gives NaN or infinity for an image"):
        exporting.export(small, request, PHOTOS, calibration=PHOTOS)
    assert len(seen) > 1 and everything(tmp_path) == []


def test_callers_policy_and_logging_do_not_matter(small, tmp_path):
    logging.disable(logging.INFO)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        _, (artefact,) = exporting.export(small, ExportRequest(tmp_path), PHOTOS[:1])
        assert artefact.difference < 1e-5
        assert logging.root.manager.disable == logging.INFO
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
        logging.disable(logging.NOTSET)


def test_differences_with_nan():
    assert comparison.largest([]) == 0
    assert comparison.largest([0.5, 2]) == 2
    assert np.isnan(comparison.largest([0.5, float("nan"), 2]))


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        OSError(errno.EDQUOT, "quota"),
        tf.errors.ResourceExhaustedError(None, None, "x; No space left on device"),
        tf.errors.UnknownError(None, None, f"x; {os.strerror(errno.EDQUOT)}"),
    ],
)
def test_full_disk_is_reported(small, tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(exporting.model_card, "write_card", fail)
    request = ExportRequest(tmp_path / "deep" / "down")
    with pytest.raises(PicanetError, match="`output`: no space left on .*deep/down"):
        exporting.export(small, request, PHOTOS[:1])
    assert everything(tmp_path) == []


def test_rejection_by_tflite_is_reported(small, tmp_path, monkeypatch):
    def refuse(path):
        raise RuntimeError("while preparing\nNode 3 (CONV_2D) failed to prepare.")

    monkeypatch.setattr(exporting.tflite, "runner", refuse)
    request = ExportRequest(
        tmp_path / "out", formats=("tflite",), quantize=("float16",)
    )
    with pytest.raises(PicanetError) as told:
        exporting.export(small, request, PHOTOS[:1])
    assert str(told.value) == (
        "`quantize` float16: TensorFlow Lite rejects this network: Node 3 (CONV_2D) "
        "failed to prepare.; nothing was exported"
    )
    assert everything(tmp_path) == []


def test_other_errors_are_not_called_a_full_disk(small, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise tf.errors.InternalError(None, None, "a bug")

    monkeypatch.setattr(exporting.model_card, "write_card", fail)
    with pytest.raises(tf.errors.InternalError):
        exporting.export(small, ExportRequest(tmp_path / "a"), PHOTOS[:1])
    assert everything(tmp_path) == []
