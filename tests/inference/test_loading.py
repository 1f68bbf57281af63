"""Which engine runs what, and what each refuses."""

import logging
import pickle

import numpy as np
import pytest

import picanet_tf
from picanet_tf.backbones.vgg16_weights import WeightsError, load_vgg16_weights
from picanet_tf.core.errors import PicanetError
from picanet_tf.inference import (
    KerasModel,
    LiteRTModel,
    load_model,
    locate,
)
from picanet_tf.inference import loading as module
from picanet_tf.inference.loading import POLICIES, load_network
from picanet_tf.layers import precision as precision_module
from picanet_tf.presets import registry
from picanet_tf.presets.arrays import quantize
from picanet_tf.saliency import build_model
from picanet_tf.tasks.registry import get_task, task_names
from picanet_tf.training.run_directory import RunDirectory
from tests.inference.networks import photo
from tests.presets import entries
from tests.training import disks


@pytest.fixture
def place(tmp_path, monkeypatch, network, litert_file):
    """A folder with a preset `tiny`, a run, and files, all of one network."""
    monkeypatch.setattr(registry, "FOLDER", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.tflite").write_bytes(litert_file.read_bytes())
    np.savez("tiny.npz", **quantize({v.path: v.numpy() for v in network.weights}))
    files = {
        kind: entries.file(name, (tmp_path / name).read_bytes())
        for kind, name in (("litert", "tiny.tflite"), ("weights", "tiny.npz"))
    }
    entries.write(tmp_path, entries.entry(files=files, default=True))
    keras_file = litert_file.with_name("model.keras").read_bytes()
    (tmp_path / "net.keras").write_bytes(keras_file)
    run = RunDirectory.create(disks.experiment(variant="UNet"), "mine")
    (run.path / "model.keras").write_bytes(keras_file)
    return tmp_path


def test_fastest_available_engine_is_chosen(place, network):
    expected = KerasModel(network).predict(photo())
    for word, kind in (
        (None, LiteRTModel),
        ("tiny", LiteRTModel),
        ("tiny.tflite", LiteRTModel),
        (locate("tiny"), LiteRTModel),
        ("mine", KerasModel),
        ("net.keras", KerasModel),
        (place / "net.keras", KerasModel),
    ):
        given = {} if kind is LiteRTModel else {"precision": "float32"}
        model = load_model(word, **given)
        assert type(model) is kind, word
        np.testing.assert_allclose(model.predict(photo()), expected, atol=1e-4)


def test_keras_engine_can_be_requested(place, network):
    model = load_model("tiny", engine="keras")
    assert type(model) is KerasModel and model.network.variant == "UNet"
    theirs = KerasModel(network).predict(photo())
    # Its kernels were rounded to int8.
    assert np.abs(model.predict(photo()) - theirs).mean() < 0.02
    assert model.predict(photo()).std() > 0.01


@pytest.mark.parametrize("word", ["net.keras", "mine"])
def test_litert_engine_needs_a_litert_file(place, word):
    with pytest.raises(PicanetError) as raised:
        load_model(word, engine="litert")
    assert str(raised.value).startswith(f"`engine` litert: {word} has no LiteRT file. ")
    assert (
        "--formats tflite --quantize dynamic, use the engine keras, or give a preset"
        in str(raised.value)
    )


def test_keras_engine_refuses_a_litert_file(place):
    with pytest.raises(
        PicanetError, match="tiny.tflite: a LiteRT file can only be used for"
    ):
        load_model("tiny.tflite", engine="keras")
    with pytest.raises(
        PicanetError, match="Give the run, .keras file or preset it was"
    ):
        load_network(locate("tiny.tflite"))


@pytest.mark.parametrize("engine", ["onnx", "", "LiteRT"])
def test_unknown_engines_are_rejected(place, engine):
    with pytest.raises(PicanetError) as raised:
        load_model("tiny", engine=engine)
    assert str(raised.value) == (
        f"`engine` must be one of litert, keras. Received: {engine!r}"
    )


def test_numbers_of_threads_are_checked_and_set(place, monkeypatch):
    for threads in (0, -3, 1025, 1.5, "2"):
        with pytest.raises(PicanetError, match=f"1 to 1024. Received: {threads!r}$"):
            load_model("tiny", threads=threads)
    assert load_model("tiny", threads=1).predict(photo()).shape == (30, 45)
    asked = []
    monkeypatch.setattr(module, "_set_threads", asked.append)
    load_model("net.keras", threads=2)
    load_model("net.keras")
    assert asked == [2]
    monkeypatch.undo()


def test_keras_threads_cannot_be_set_after_tensorflow_ran(place):
    """TensorFlow has run here already."""
    with pytest.raises(
        PicanetError, match="must be set before TensorFlow is first used"
    ):
        load_model("net.keras", threads=1)


@pytest.mark.parametrize("word", ["net.keras", "mine", "tiny"])
def test_keras_computes_in_the_precision_asked_for(place, network, word):
    """With the same weights, which stay float32, and nearly the same maps."""
    wide, narrow = (
        load_model(word, engine="keras", precision=precision)
        for precision in ("float32", "bfloat16")
    )
    assert (wide.precision, narrow.precision) == ("float32", "bfloat16")
    assert narrow.network.get_layer("fc7").compute_dtype == "bfloat16"
    assert wide.network.get_layer("fc7").compute_dtype == "float32"
    for ours, theirs in zip(narrow.network.weights, wide.network.weights, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), ours.path)
    expected, found = wide.predict(photo()), narrow.predict(photo())
    assert found.dtype == np.float32 and expected.std() > 0.01
    assert 0 < np.abs(found - expected).max() < 0.05
    np.testing.assert_allclose(
        KerasModel(narrow.network.rebuild(dtype="float32")).predict(photo()), expected
    )


@pytest.mark.parametrize(("policy", "name"), sorted(POLICIES.items()))
def test_precision_is_resolved_for_keras_models_only(place, monkeypatch, policy, name):
    asked = []
    monkeypatch.setattr(
        precision_module,
        "resolve_precision",
        lambda p, name: asked.append(p) or "float32",
    )
    load_model("net.keras", precision=policy)
    assert asked == [name]
    load_model("tiny.tflite")  # LiteRT computes as its file says.
    assert asked == [name]


def test_the_precision_of_a_run_is_not_that_of_its_training(place):
    """Such as float16, which is slow on processors."""
    load_network(locate("net.keras")).rebuild(dtype="mixed_float16").save("half.keras")
    assert load_network(locate("half.keras")).config.dtype == "mixed_float16"
    model = load_model("half.keras", precision="float32")
    assert model.network.config.dtype == model.precision == "float32"
    expected = load_model("net.keras", precision="float32").predict(photo())
    np.testing.assert_array_equal(model.predict(photo()), expected)


def test_a_copy_computes_in_the_same_precision(place):
    model = load_model("net.keras", precision="bfloat16")
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(other.predict(photo()), model.predict(photo()))
    assert other.precision == "bfloat16"


def test_changes_to_a_loaded_network_take_effect(place):
    """Copies of its kernels are not used once somebody has it."""
    model = load_model("net.keras", precision="bfloat16")
    before = model.predict(photo())
    network = model.network
    np.testing.assert_array_equal(model.predict(photo()), before)
    for variable in network.trainable_variables:
        variable.assign(variable * 1.1)
    changed = model.predict(photo())
    assert np.abs(changed - before).max() > 0.01
    np.testing.assert_array_equal(changed, KerasModel(network).predict(photo()))


@pytest.mark.parametrize(
    "precision", ["float16", "mixed_bfloat16", None, "", ["float32"]]
)
def test_unknown_precisions_are_rejected(place, precision):
    with pytest.raises(PicanetError) as raised:
        load_model("net.keras", precision=precision)
    assert str(raised.value) == (
        f"`precision` must be one of auto, float32, bfloat16. Received: {precision!r}"
    )


@pytest.mark.parametrize(
    "word, remedy",
    [("tiny", "`engine` keras"), ("tiny.tflite", "a run or .keras file")],
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision_cannot_be_chosen_for_litert(place, word, remedy, precision):
    assert load_model(word).precision is None
    with pytest.raises(PicanetError) as raised:
        load_model(word, precision=precision)
    assert str(raised.value) == (
        f"`precision` {precision} is for the engine keras: {locate(word)} would run on "
        f"LiteRT, which computes as its file says. Give {remedy}, or leave out "
        "`precision`"
    )


def test_damaged_and_missing_preset_files_are_reported(place):
    for name, engine in (("tiny.tflite", "litert"), ("tiny.npz", "keras")):
        (place / name).write_bytes(b"damaged")
        with pytest.raises(PicanetError, match=f"{name} of the preset tiny is damaged"):
            load_model("tiny", engine=engine)
        (place / name).unlink()
        with pytest.raises(PicanetError, match=f"{name} of the preset tiny is missing"):
            load_model("tiny", engine=engine)


def test_preset_without_weights_is_refused(place):
    entries.write(place, entries.entry("paper"))
    for engine in (None, "keras"):
        with pytest.raises(
            PicanetError, match="preset paper has no weights file: only"
        ):
            load_model("paper", engine=engine)
    with pytest.raises(PicanetError, match="the preset paper has no LiteRT file"):
        load_model("paper", engine="litert")


def test_weights_of_another_network_are_refused(place):
    other = entries.entry("other", variant="6GAP_5432LAP")
    other["files"] = {
        "weights": entries.file("tiny.npz", open("tiny.npz", "rb").read())
    }
    entries.write(place, other)
    with pytest.raises(PicanetError, match="the preset other do not fill picanet_6GAP"):
        load_model("other")


def test_build_model_loads_the_weights_of_a_preset(place, network):
    built = build_model(weights="tiny")
    assert built.name == "picanet_UNet" and built.input.shape == (None, 32, 32, 3)
    by_path = {v.path: v.numpy() for v in network.weights}
    for variable in built.weights:
        steps = np.abs(by_path[variable.path]).max() / 254
        difference = np.abs(variable.numpy() - by_path[variable.path]).max()
        exact = len(variable.shape) < 2
        assert difference <= (0 if exact else steps * 1.001), variable.path
    assert build_model("UNet", 64, weights="tiny").input.shape[1] == 64
    with pytest.raises(PicanetError, match="tiny is a UNet. Received: variant='6GAP_5"):
        build_model("6GAP_5432AC", weights="tiny")
    for task in set(task_names()) - {"saliency"}:
        with pytest.raises(PicanetError, match=f"for saliency, the network for {task}"):
            get_task(task).build_model(weights="tiny")


def test_preset_is_refused_as_encoder_weights(place):
    network = build_model("UNet", 32, width=1 / 32)
    before = [variable.numpy() for variable in network.weights]
    with pytest.raises(WeightsError) as raised:
        load_vgg16_weights(network, "tiny")
    assert str(raised.value) == (
        "'tiny' is a preset, the weights of a whole network and not of an encoder: "
        "give train.py --init_from, or weights= of its task's build_model."
    )
    for variable, value in zip(network.weights, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_package_exports_its_public_functions(place):
    assert picanet_tf.build_model is build_model
    assert picanet_tf.load_model is load_model
    assert list(picanet_tf.list_presets()) == ["tiny"]
    assert {"build_model", "load_model", "list_presets"} <= set(dir(picanet_tf))
    with pytest.raises(AttributeError, match="'picanet_tf' has no attribute 'nothing'"):
        picanet_tf.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="inference' has no attribute 'nothing'"):
        picanet_tf.inference.nothing  # noqa: B018


def test_chosen_model_is_logged(place, caplog):
    caplog.set_level(logging.INFO, logger="absl")
    load_model()
    assert "The model is the preset tiny (there is no runs/latest)" in caplog.text
