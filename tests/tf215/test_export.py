"""An export of today's TensorFlow, loaded and asked in TensorFlow 2.15."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

FOLDER = pathlib.Path("build/tf215")
# Sums in another order. One image's answers differ from another's by 1e4 times this.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def signatures():
    model = tf.saved_model.load(str(FOLDER / "export" / "1"))
    return dict(model.signatures)


@pytest.fixture(scope="module")
def recorded():
    """{signature: {"in" or "out": {tensor's name: array}}}"""
    tree = {}
    with np.load(FOLDER / "answers.npz") as arrays:
        for key in arrays:
            signature, way, name = key.split("/")
            tree.setdefault(signature, {"in": {}, "out": {}})[way][name] = arrays[key]
    return tree


def test_it_is_another_tensorflow(signatures, recorded):
    assert tf.__version__.startswith("2.15.")
    assert set(signatures) == set(recorded)
    assert set(recorded) == {"serving_default", "image_bytes", "attention"}


def greys(files):
    return [tf.io.decode_png(file).numpy().astype(np.int32) for file in files]


@pytest.mark.parametrize("name", ["serving_default", "image_bytes", "attention"])
def test_answers_equal_the_recorded_ones(name, signatures, recorded):
    inputs = {key: tf.constant(value) for key, value in recorded[name]["in"].items()}
    answers = {key: value.numpy() for key, value in signatures[name](**inputs).items()}
    wanted = recorded[name]["out"]
    assert set(answers) == set(wanted)
    if name == "image_bytes":
        ours = greys(answers.pop("saliency_png_bytes"))
        theirs = greys(wanted.pop("saliency_png_bytes"))
        # The first is a photo of 40 x 70, turned by its EXIF orientation.
        assert [map_.shape for map_ in ours] == [(70, 40, 1), (90, 50, 1)]
        differences = [np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True)]
        print(f"{name}: PNGs differ by at most {max(differences)} of 255")
        assert max(differences) <= 1
    for key, value in answers.items():
        assert value.shape == wanted[key].shape
        difference = np.abs(value - wanted[key]).max()
        print(f"{name}: {key} differs by at most {difference:.1e}")
        assert difference <= TOLERANCE
        assert np.abs(value[0] - value[1]).max() > 1e4 * TOLERANCE
