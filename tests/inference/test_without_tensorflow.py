"""Predicting where only numpy, Pillow, absl, tqdm and ai-edge-litert are installed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picanet_tf.commands import COMMANDS
from picanet_tf.core.images import read_image
from picanet_tf.drawing.cutouts import cut_out
from picanet_tf.inference import load_model
from picanet_tf.presets.samples import sample_photos
from picanet_tf.saliency.rendering import FORMATS

ROOT = Path(__file__).parents[2]
# As if they were not installed, in whatever way they are looked for.
BLOCKED = """
import importlib.abc, runpy, sys

NAMES = {
    "tensorflow", "keras", "cv2", "matplotlib", "scipy", "h5py", "skimage", "sklearn",
    "py_sod_metrics", "tensorboard", "gradio", "starlette", "uvicorn", "pandas",
}

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in NAMES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""
COMMAND = """
from picanet_tf.commands import main
main()
"""


def without(code, *words, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + code, *map(str, words)],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def picanet(*words, cwd=ROOT):
    return without(COMMAND, *words, cwd=cwd)


def test_blocked_packages_cannot_be_imported():
    for name in ("tensorflow", "keras.layers", "cv2", "matplotlib.pyplot", "scipy"):
        run = without(f"import {name}")
        assert run.returncode == 1 and "ModuleNotFoundError: No module named" in (
            run.stderr
        )


@pytest.fixture(scope="module")
def expected():
    """The maps of the preset that ships, of the photos that come along."""
    model = load_model("picanet_vgg16_duts")
    return {path: model.predict(path) for path in sample_photos()}


@pytest.mark.parametrize("form", FORMATS)
def test_predict_in_every_format(form, expected, tmp_path):
    photo, saliency = next(iter(expected.items()))
    run = picanet(
        "predict", photo, "--output", tmp_path / "out", "--format", form, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
    picture = Image.open(tmp_path / "out" / f"{photo.stem}.png")
    if form == "map":
        difference = np.abs(np.asarray(picture, float) - saliency * 255)
        assert difference.max() <= 0.51
    if form == "cutout":
        expected = cut_out(read_image(photo), saliency)
        np.testing.assert_array_equal(np.asarray(picture), expected)
    wanted = {"map": "L", "mask": "L", "cutout": "RGBA", "overlay": "RGB"}
    assert picture.mode == wanted.get(form, "RGB")
    if form != "panel":
        assert picture.size == saliency.shape[::-1]


def test_predict_makes_cutouts_of_a_folder_by_default(expected, tmp_path):
    for path in expected:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    run = picanet("predict", ".", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    for path, saliency in expected.items():
        cutout = np.asarray(Image.open(tmp_path / f"{path.stem}.cutout.png"))
        np.testing.assert_array_equal(cutout, cut_out(read_image(path), saliency))


def test_prediction_works_from_python(expected):
    photo, saliency = next(iter(expected.items()))
    run = without(
        "import picanet_tf, sys\n"
        "assert list(picanet_tf.list_presets()) == ['picanet_vgg16_duts']\n"
        "model = picanet_tf.load_model('picanet_vgg16_duts')\n"
        "print(type(model).__name__, float(model.predict(sys.argv[1]).mean()))",
        photo,
    )
    assert run.returncode == 0, run.stderr
    name, mean = run.stdout.split()
    assert name == "LiteRTModel"
    assert float(mean) == pytest.approx(float(saliency.mean()), abs=1e-4)


def test_models_command_works():
    run = picanet("models")
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("picanet_vgg16_duts (the default)\n")
    run = picanet("models", "picanet_vgg16_duts")
    assert run.returncode == 0 and run.stdout.startswith("# picanet_vgg16_duts\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    run = picanet(command, "--help")
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(f"usage: picanet {command} ")
