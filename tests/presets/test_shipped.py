"""The presets that ship: whole, described, and of the networks that they name."""

import json

import numpy as np
import pytest

from picanet_tf.inference import load_model
from picanet_tf.presets import card, default_preset, list_presets, registry
from picanet_tf.presets.arrays import quantize, read_arrays
from picanet_tf.presets.samples import sample_photos
from picanet_tf.saliency.variants import check_image_size, parse_variant

PRESETS = list_presets()
EACH = pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))


def test_there_is_one_default():
    assert [name for name, preset in PRESETS.items() if preset.default] == [
        "picanet_vgg16_duts"
    ]
    assert default_preset().name == "picanet_vgg16_duts"


def test_all_that_ships_is_small():
    """A package index takes no more than 100 MB, and all of it is downloaded."""
    shipped = [
        path
        for path in registry.FOLDER.iterdir()
        if path.suffix in (".npz", ".tflite", ".json", ".md")
    ]
    assert sum(path.stat().st_size for path in shipped) <= 80e6


@EACH
def test_its_files_are_those_of_its_entry(preset):
    for kind, file in preset.files.items():
        path = preset.path(kind)  # by its checksum
        assert path.stat().st_size == file.bytes and path.name == file.name


def test_no_file_is_left_over():
    known = {file.name for preset in PRESETS.values() for file in preset.files.values()}
    known |= {f"{name}.{suffix}" for name in PRESETS for suffix in ("json", "md")}
    found = {
        path.name
        for path in registry.FOLDER.iterdir()
        if path.is_file() and path.suffix != ".py"
    }
    assert found == known


@EACH
def test_its_card_is_that_of_its_entry(preset):
    entry = json.loads((registry.FOLDER / f"{preset.name}.json").read_text())
    card.check_facts(entry["card"], preset.name)
    assert preset.card_path.read_text() == card.markdown(entry)


@EACH
def test_entry_names_a_valid_network(preset):
    assert preset.task == "saliency" and preset.width > 0
    parse_variant(preset.variant)
    check_image_size(preset.variant, preset.image_size)


@EACH
def test_its_kernels_are_in_int8(preset):
    path = preset.path("weights")
    with np.load(path) as stored:
        kinds = {stored[name].dtype for name in stored.files}
        kernels = [name for name in stored.files if stored[name].dtype == np.int8]
    assert kinds == {np.dtype(np.int8), np.dtype(np.float32)} and len(kernels) > 20
    arrays = read_arrays(path)
    # Already quantised: doing so again changes nothing.
    again = quantize({name: arrays[name] for name in kernels[:5]})
    for name in kernels[:5]:
        back = again[name] * again[f"{name}:scale"]
        np.testing.assert_array_equal(back, arrays[name])
        assert np.isfinite(arrays[name]).all() and arrays[name].any()


@pytest.mark.full_size
@EACH
def test_its_weights_are_those_of_its_network(preset):
    from picanet_tf.saliency import build_model

    network = build_model(preset.variant, preset.image_size, width=preset.width)
    ours = {variable.path: tuple(variable.shape) for variable in network.weights}
    arrays = read_arrays(preset.path("weights"))
    assert {path: value.shape for path, value in arrays.items()} == ours


@pytest.mark.full_size
@EACH
def test_both_files_hold_one_network(preset):
    photo = next(path for path in sample_photos() if path.stem == "astronaut")
    litert = load_model(preset.name)
    by_litert = litert.predict(photo)
    by_keras = load_model(preset.name, engine="keras").predict(photo)
    assert litert.image_size == preset.image_size
    assert by_litert.shape == by_keras.shape == (512, 512)
    assert np.abs(by_litert - by_keras).mean() < 0.003
    # She fills the middle below, and the wall behind her is no object.
    assert by_litert[200:500, 180:300].mean() > 0.8
    assert by_litert[:60, 330:].mean() < 0.2
