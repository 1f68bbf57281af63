"""Networks with their configuration: config, file and rebuilding, for each task."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.inference import KerasModel
from picanet_tf.layers import LSTMOptions
from picanet_tf.models import Network
from picanet_tf.tasks import get_task
from tests import commands

NETWORKS = [
    ("saliency", "6GAP_5432AC", 32),
    ("segmentation", "UNet", 32),
    ("segmentation", "DeepLab_AC", 33),
    ("detection", "478AC_910GAP", 64),
]
# {task: {variant: sorted paths of its weights}}, literals: weights that were saved are
# found by them.
PATHS = json.loads(Path(__file__).with_name("variable_paths.json").read_text())


def images(side, count=1):
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (count, side, side, 3)).astype("float32")


def assert_same_outputs(network, wanted, **tolerance):
    batch = images(wanted.image_size)
    outputs = network(batch, training=False)
    expected = wanted(batch, training=False)
    assert outputs.keys() == expected.keys()
    for name, output in outputs.items():
        np.testing.assert_allclose(
            output, expected[name], err_msg=name, **{"rtol": 0, "atol": 0, **tolerance}
        )


@pytest.mark.parametrize("task, variant, side", NETWORKS)
def test_rebuilding_keeps_rounded_numbers_of_channels(task, variant, side):
    """0.06: fc7 has 61 channels, conv5 31, and half of 61 would be 30."""
    network = get_task(task).build_model(variant, side, width=0.06)
    again = network.rebuild()
    assert again is not network and again.get_config() == network.get_config()
    assert (again.variant, again.config.width) == (variant, 0.06)
    assert_same_outputs(again, network, atol=1e-5)


@pytest.mark.parametrize(
    "task, variant", [(task, variant) for task in PATHS for variant in PATHS[task]]
)
def test_the_variables_keep_their_paths(task, variant, tiny_network):
    network = tiny_network(variant, task)
    assert sorted(weight.path for weight in network.weights) == PATHS[task][variant]


def test_frozen_layers_stay_frozen(tmp_path):
    network = get_task("saliency").build_model("6GAP_5LAP", 32, width=1 / 32)
    assert "frozen" not in network.get_config()
    frozen = {"block1_conv1", "d6_gap", "d5_lap"}
    for name in frozen:
        network.get_layer(name).trainable = False
    network.save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    for each in (network, loaded, network.rebuild()):
        assert set(each.get_config()["frozen"]) == frozen
        assert {layer.name for layer in each.layers if not layer.trainable} == frozen
    norm = loaded.get_layer("d5_lap").attention.norm
    before = norm.moving_mean.numpy()
    loaded(images(32), training=True)
    np.testing.assert_array_equal(norm.moving_mean, before)


@pytest.mark.parametrize(
    "task, settings, said",
    [
        ("saliency", {"classes": 2}, "`classes`: a saliency network has none"),
        ("segmentation", {"classes": 0}, "`classes` must be at least 2. Received"),
        ("segmentation", {"image_size": 64.0}, "`image_size` must be a whole number"),
    ],
)
def test_settings_without_a_meaning_are_refused(task, settings, said):
    with pytest.raises(PicanetError, match=said):
        get_task(task).build_model("UNet", width=1 / 32, **settings)


def test_image_size_may_be_numpys():
    network = get_task("saliency").build_model("UNet", np.int64(32), width=1 / 32)
    assert json.loads(json.dumps(network.get_config()))["image_size"] == 32


def test_the_config_is_what_was_passed():
    options = LSTMOptions(use_cudnn=False, unroll=True)
    network = get_task("segmentation").build_model(
        "6GAP_543AC",
        64,
        width=1 / 32,
        classes=5,
        dropout=0.25,
        seed=7,
        return_attention=True,
        lstm_options=options,
        dtype="mixed_bfloat16",
    )
    assert network.get_config() == {
        "task": "segmentation",
        "variant": "6GAP_543AC",
        "image_size": 64,
        "width": 1 / 32,
        "classes": 5,
        "dropout": 0.25,
        "seed": 7,
        "return_attention": True,
        "lstm_options": {"use_cudnn": False, "unroll": True},
        "dtype": "mixed_bfloat16",
    }
    assert network.config.lstm_options == options
    assert network.name == "picanet_segmentation_6GAP_543AC"
    assert network.task is get_task("segmentation")
    assert (network.variant, network.image_size) == ("6GAP_543AC", 64)
    assert list(network.attach_points) == [6, 5, 4, 3]
    kinds = [point.kind for point in network.attentive_points]
    assert kinds == ["GAP", "AC", "AC", "AC"]
    # What was passed is what was built.
    assert network.output["stage3"].shape == (None, 16, 16, 5)
    assert network.get_layer("fc6_dropout").get_config()["rate"] == 0.25
    assert network.get_layer("fc6_dropout").get_config()["seed"] == 7
    assert network.get_layer("d6_gap").lstm_options == options
    assert network.get_layer("fc7").compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"width": 0.06, "dropout": 0.25, "seed": 3},
        {"lstm_options": LSTMOptions(use_cudnn=False, unroll=True)},
        {"lstm_options": {"unroll": True}, "return_attention": True},
        {"dtype": "mixed_float16"},
        {"dtype": keras.DTypePolicy("mixed_float16")},
    ],
    ids=str,
)
def test_config_and_weights_survive_saving(options, tiny_network, tmp_path):
    network = tiny_network("6GAP_5AC", **options)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    assert type(loaded) is Network and loaded.name == network.name
    assert loaded.get_config() == network.get_config()
    assert loaded.config == network.config
    assert_same_outputs(loaded, network)
    policies = [
        {layer.name: layer.dtype_policy.name for layer in each.layers}
        for each in (loaded, network)
    ]
    assert policies[0] == policies[1]
    half = "dtype" in options
    assert loaded.config.dtype == ("mixed_float16" if half else "float32")
    computed_in = "float16" if half else "float32"
    assert loaded.get_layer("d6_gap").compute_dtype == computed_in
    assert {weight.dtype for weight in loaded.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("task, variant, side", NETWORKS)
def test_a_fresh_process_loads_it_by_importing_the_models_only(
    task, variant, side, tiny_network, tmp_path
):
    network = tiny_network(variant, task, side)
    network.save(tmp_path / "network.keras")
    code = (
        "import keras, picanet_tf.models\n"
        "network = keras.saving.load_model('network.keras')\n"
        "print(network.task.spec.name, network.variant, network.image_size)\n"
        "print(repr(float(sum(abs(w.numpy()).sum() for w in network.weights))))"
    )
    done = commands.call("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told, total = done.stdout.splitlines()
    assert told == f"{task} {variant} {side}"
    expected = float(sum(abs(weight.numpy()).sum() for weight in network.weights))
    assert float(total) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("size", [48, 64])
def test_a_config_of_another_size_gives_that_size(size, tiny_network):
    network = tiny_network("6GAP_5AC", width=0.06)
    config = {**network.get_config(), "image_size": size}
    other = Network.from_config(config)
    assert other.input.shape == (None, size, size, 3)
    assert other.output["stage1"].shape == (None, size, size, 1)
    assert other.get_config() == config
    with pytest.raises(PicanetError, match="multiple of 8.*image_size=50"):
        Network.from_config({**config, "image_size": 50})
    with pytest.raises(PicanetError, match="Unknown task 'sailing'"):
        Network.from_config({**config, "task": "sailing"})


def test_rebuilding_keeps_the_weights_and_changes_what_is_named(tiny_network):
    network = tiny_network("6GAP_5AC", dropout=0.25)
    larger = tiny_network("5AC").rebuild(image_size=48)
    assert larger.output["stage1"].shape == (None, 48, 48, 1)
    shown = network.rebuild(return_attention=True, dropout=0.0, dtype="mixed_float16")
    assert {"attention6", "attention5"} <= set(shown.output)
    assert shown.config.dropout == 0.0 and shown.config.width == network.config.width
    assert shown.get_layer("d5_ac").compute_dtype == "float16"
    ours = {variable.path: variable.numpy() for variable in network.weights}
    assert ours.keys() == {variable.path for variable in shown.weights}
    for variable in shown.weights:
        np.testing.assert_array_equal(variable, ours[variable.path])
    with pytest.raises(PicanetError, match="at image_size 32 and cannot run at 4"):
        network.rebuild(image_size=48)


def test_invalid_settings_are_rejected():
    build_model = get_task("saliency").build_model
    for width in (0, -1, float("inf"), float("nan")):
        with pytest.raises(PicanetError, match="`width` must be above 0. Received: wi"):
            build_model("UNet", 32, width=width)
    with pytest.raises(PicanetError, match="multiple of 8"):
        build_model("UNet", 33)
    with pytest.raises(PicanetError, match="Cannot read variant 'VNet'"):
        build_model("VNet", 32)
    assert keras.config.dtype_policy().name == "float32"


def test_network_without_a_configuration_is_refused(tiny_network):
    network = tiny_network("6GAP")
    posing = keras.Model(network.input, network.output, name=network.name)
    for foreign in (posing, keras.Sequential(name="other")):
        with pytest.raises(PicanetError) as raised:
            KerasModel(foreign)
        assert str(raised.value) == (
            f"The model {foreign.name} was not built by `build_model`: it has no "
            "network configuration"
        )


def test_the_library_itself_imports_no_tensorflow():
    code = (
        "import sys, picanet_tf\n"
        "assert callable(picanet_tf.load_model)\n"
        "found = [name for name in ('tensorflow', 'keras') if name in sys.modules]\n"
        "assert not found, found"
    )
    done = commands.call("-c", code, modules=commands.LIGHT)
    assert done.returncode == 0, done.stderr
