"""Whole images of any size: what goes in, what comes out, how it is drawn."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from data_pipeline import augment
from picanet_tf.inference import AttentionModel, KerasModel
from picanet_tf.segmentation import build_model, prediction
from picanet_tf.segmentation.rendering import render
from picanet_tf.segmentation.targets import stride_of
from picanet_tf.serving import exporting
from picanet_tf.serving.request import ExportRequest
from picanet_tf.serving.saved_model import Loaded
from picanet_tf.tasks import get_spec, get_task
from tests.serving.networks import photo


@pytest.fixture(scope="module", params=["DeepLab_LAP", "6GAP_543AC"])
def network(request):
    keras.utils.set_random_seed(3)
    model = build_model(request.param, image_size=64, width=1 / 16)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path.startswith(("fc8", "stage3")) and weight.name == "kernel":
            weight.assign(rng.normal(0, 2, weight.shape))
    return model


@pytest.mark.parametrize("size", [(30, 45), (64, 64), (70, 40), (64, 20)])
def test_training_and_prediction_see_the_same_picture(size):
    image = photo(size)
    theirs, _ = augment.fit_class_map(image, np.zeros([*size, 1], np.uint8), 64)
    np.testing.assert_allclose(prediction.resize(image, 64), theirs, atol=1e-3)
    ours = get_spec("segmentation").resize(image, 64)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_a_deeplab_is_tested_at_513():
    task = get_task("segmentation")
    assert task.test_image_size("DeepLab_AC", 321) == 513
    assert task.test_image_size("6GAP_543AC", 384) == 384


@pytest.mark.parametrize("side, size", [(33, 5), (64, 8), (16, 4)])
def test_scores_are_enlarged_in_place(side, size):
    """A ramp over the positions is a ramp over the pixels, at their middles."""
    stride = stride_of(side, size)
    middles = (np.arange(size) * stride + (stride - 1) / 2).astype(np.float32)
    scores = np.tile(middles[None, :, None, None], (1, 1, size, 2))
    logits = prediction.upsample(scores, side).numpy()[0, :, 0, 0]
    inside = slice(stride, side - stride)
    np.testing.assert_allclose(logits[inside], np.arange(side)[inside], atol=1e-4)
    assert len(logits) == side


def test_classes_have_the_size_of_the_image(network):
    model = KerasModel(network)
    for size in ((30, 45), (150, 120), (1, 200)):
        image = photo(size)
        classes = model.predict(image)
        assert classes.shape == size and classes.dtype == np.uint8
        side = model.image_size
        outputs = model.network(model.resize(image)[np.newaxis], training=False)
        logits = prediction.upsample(prediction.logits(outputs), side)[0]
        square = max(side, *size)
        logits = tf.image.resize(logits, [square, square])[: size[0], : size[1]]
        wanted = np.argmax(logits, axis=-1)
        assert np.mean(classes == wanted) > 0.999
    assert len(np.unique(model.predict(photo((150, 120))))) > 1


def test_results_are_rendered_as_pictures():
    image = np.full([80, 100, 3], 200, np.uint8)
    classes = np.zeros([80, 100], np.uint8)
    classes[40:, 50:] = 15
    palette = render("map", image, classes)
    assert palette.mode == "P" and palette.size == (100, 80)
    np.testing.assert_array_equal(np.asarray(palette), classes)
    assert palette.convert("RGB").getpixel((99, 79)) == (192, 128, 128)
    drawn = np.asarray(render("overlay", image, classes))
    assert drawn.shape == (80, 100, 3)
    assert drawn[79, 99].tolist() == [195, 157, 157]  # 0.4 * 200 + 0.6 * colour
    assert drawn[79, 0].tolist() == [200, 200, 200]  # the background stays clear
    legend = drawn[:25, :60].reshape(-1, 3).tolist()
    assert [192, 128, 128] in legend and [255, 255, 255] in legend
    bare = np.asarray(render("overlay", image, classes * 0))
    np.testing.assert_array_equal(bare, image)
    assert render("panel", image, classes).size == (300, 80)
    with pytest.raises(ValueError, match="`form` must be one of"):
        render("mask", image, classes)


def test_attention_of_each_branch_is_returned(network):
    model = AttentionModel(KerasModel(network))
    image = photo((30, 45))
    maps = model.predict(image)
    assert maps.foreground_title == "foreground" and 0 <= maps.foreground.min()
    frame = model.frame(image)
    side = frame.shape[0]
    assert frame.shape == (side, side, 3) == (*maps.foreground.shape, 3)
    np.testing.assert_array_equal(frame[:30, :45], image)
    assert (frame[30:] == (124, 117, 104)).all()
    if 12 in maps.points:
        assert model.labels == [f"ASPP {rate} LAP" for rate in (6, 12, 18, 24)]
        assert [p.dilation_rate for p in maps.points.values()] == [2, 4, 6, 8]
        np.testing.assert_allclose(maps.attention[18].sum(-1), 1, atol=1e-5)
    else:
        assert model.labels == ["D6 GAP", "D5 AC", "D4 AC", "D3 AC"]
        assert maps.attention[6].shape == (2, 2, 4)


@pytest.mark.slow
def test_export_equals_prediction(network, tmp_path):
    photos = [photo((30, 45), 1), photo((90, 40), 2)]
    request = ExportRequest(tmp_path / "x", formats=("saved_model", "tflite"))
    folder, (saved, lite) = exporting.export(network, request, photos)
    assert 0 <= saved.difference < 1e-4 and 0 <= lite.difference < 1e-4
    names = "serving_default, image_bytes, classes, logits, attention"
    assert saved.note == names
    loaded, side = Loaded(folder), network.input.shape[1]
    image = prediction.resize(photos[1], side)[np.newaxis]
    logits = loaded("logits", image=image)["logits"]
    assert logits.shape == (1, side, side, 21)
    classes = loaded("serving_default", image=image)["classes"]
    np.testing.assert_array_equal(classes, logits.argmax(-1))
    encoded = tf.io.encode_png(photos[1]).numpy()
    answer = loaded("image_bytes", image_bytes=np.array([encoded]))
    png = tf.io.decode_png(answer["classes_png_bytes"][0]).numpy()
    assert png.shape == (90, 40, 1)
    wanted = prediction.crop_to_image(logits[0], (90, 40), side)
    np.testing.assert_array_equal(png[..., 0], np.argmax(wanted, axis=-1))
