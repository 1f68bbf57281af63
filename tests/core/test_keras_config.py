"""A user's Keras of another backend, data format or precision."""

import json
import os
import sys

import numpy as np
import pytest

from data_pipeline.convert import convert_folders
from picanet_tf.core import keras_config
from picanet_tf.core.errors import PicanetError
from tests.commands import call
from tests.serving.networks import encoded, photo


def keras_home(folder, **settings):
    folder.mkdir()
    (folder / "keras.json").write_text(json.dumps(settings))
    return str(folder)


@pytest.mark.parametrize(
    "code",
    [
        "import picanet_tf.layers",
        "import picanet_tf.models",
        "import picanet_tf.backbones.vgg16",
        "from picanet_tf.inference import KerasModel",
        "import picanet_tf; picanet_tf.build_model()",
        "import picanet_tf; picanet_tf.load_model(engine='keras')",
        "import picanet_tf; picanet_tf.train(tfrecords='nowhere')",
    ],
)
def test_the_library_refuses_another_backend(code):
    done = call("-c", code, fresh=True, KERAS_BACKEND="jax")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "picanet_tf.core.errors.PicanetError: picanet_tf needs Keras' backend "
        "tensorflow. Received: KERAS_BACKEND=jax; unset it, or set it to tensorflow "
        "before Keras is imported"
    )


def test_what_needs_no_keras_runs_with_any_backend():
    code = "import picanet_tf; print(picanet_tf.load_model().spec.name)"
    assert call("-c", code, fresh=True, KERAS_BACKEND="jax").stdout == "saliency\n"


def test_commands_ignore_another_backend_and_say_so():
    done = call("train.py", "--steps=0", fresh=True, KERAS_BACKEND="jax")
    assert done.returncode == 1
    assert "KERAS_BACKEND=jax is ignored: using tensorflow" in done.stderr


@pytest.fixture
def unimported(monkeypatch, tmp_path):
    """As before Keras is imported."""
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "keras.json"


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"backend": "torch"}, 'backend tensorflow. Received: "backend": "torch" in'),
        ({"floatx": "float16"}, 'floatx float32; .*"floatx": "float16" in'),
    ],
)
def test_unsupported_keras_json_is_named(unimported, settings, rule):
    unimported.write_text(json.dumps(settings))
    with pytest.raises(PicanetError, match=rule) as raised:
        keras_config.check_keras()
    assert str(unimported) in str(raised.value)


@pytest.mark.parametrize("content", ["[1]", "[]", "null", '"tensorflow"'])
def test_keras_json_that_is_not_an_object_is_named(unimported, content):
    unimported.write_text(content)
    assert keras_config.use_tensorflow_backend() == ""
    with pytest.raises(PicanetError) as raised:
        keras_config.check_keras()
    assert str(raised.value) == (
        f"{unimported} must hold a JSON object, Keras' settings: correct or delete it"
    )


@pytest.mark.parametrize("content", ["", "{}", '{"backend": "tensorflow"}'])
def test_compatible_keras_json_is_accepted(unimported, content):
    unimported.write_text(content)
    keras_config.check_keras()
    assert keras_config.use_tensorflow_backend() == ""
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


def test_keras_that_is_already_imported_is_checked(monkeypatch):
    import keras

    monkeypatch.setenv("KERAS_BACKEND", "jax")  # Too late to matter.
    keras_config.check_keras()
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(PicanetError, match=r"keras.config.backend\(\) = 'jax'"):
        keras_config.check_keras()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for number in range(3):
        image = photo((40, 40), seed=number)
        for kind, pixels in (("images", image), ("masks", image[..., 0])):
            path = folder / kind / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(encoded(pixels, "PNG"))
    convert_folders(folder / "images", folder / "masks", folder / "data")
    return folder / "data"


@pytest.mark.slow
def test_commands_give_equal_results_under_any_keras_json(data, tmp_path):
    """Trains, predicts and exports."""
    homes = {
        "usual": keras_home(tmp_path / "usual"),
        "strange": keras_home(
            tmp_path / "strange", image_data_format="channels_first", backend="torch"
        ),
    }
    train = f"train.py --tfrecords {data} --run run --steps 2 --variant 6GAP_5AC"
    train += " --image_size 32 --width 0.03125 --batch_size 2 --backbone_weights none"
    export = "export.py --model run --formats tflite --output export"
    predict = f"predict.py --model run --format map --output maps {data.parent}/images"
    for name, home in homes.items():
        folder = tmp_path / name
        for command in (train, export, predict):
            script, *words = command.split()
            # Keras reads its file when it is imported.
            done = call(script, *words, cwd=folder, fresh=True, KERAS_HOME=home)
            assert done.returncode == 0, done.stderr
            told = f'{script}: "backend": "torch" in {home}/keras.json is ignored'
            assert (told in done.stderr) == (name == "strange")
    usual, strange = (tmp_path / name for name in homes)
    for file in ("export/1/tflite/picanet_float32.tflite", "maps/0.png", "maps/2.png"):
        found = np.frombuffer((strange / file).read_bytes(), np.uint8)
        np.testing.assert_array_equal(
            found, np.frombuffer((usual / file).read_bytes(), np.uint8)
        )
