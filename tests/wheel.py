"""`make test-wheel`: the wheel, in an environment that has almost nothing, elsewhere.

Builds the wheel, makes a virtual environment with the few packages that predicting
wants and no TensorFlow, installs the wheel there with --no-deps, and cuts a photo out
in an empty folder as a newcomer would. Everything is left below the folder given.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What the README says is enough, at the versions that requirements.txt allows.
ENOUGH = ("numpy", "pillow", "absl-py", "tqdm", "ai-edge-litert")
MOST_BYTES = 95e6
WEB = "picanet_tf/serving/web/sources"


def main(build: Path) -> None:
    wheel = built(build / "dist")
    check_content(wheel)
    python, picanet = installed(wheel, build / "venv")
    work = build / "elsewhere"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)

    version = said(picanet, "--version", cwd=work)
    assert version.startswith("picanet "), version
    assert "picanet_vgg16_duts" in said(picanet, "models", cwd=work)
    assert said(picanet, "predict", "--help", cwd=work).startswith("usage: picanet pre")
    script = (
        "import importlib.util as util, os, shutil\n"
        "assert not any(map(util.find_spec, ('tensorflow', 'keras', 'cv2')))\n"
        "from picanet_tf.presets.samples import sample_photos\n"
        "os.mkdir('photos')\n"
        "for path in sample_photos(): shutil.copy(path, 'photos')\n"
    )
    said(python, "-c", script, cwd=work)
    said(picanet, "predict", "photos/astronaut.png", cwd=work)
    words = ("photos/astronaut.png", "--output", "plain", "--edges", "plain")
    said(picanet, "predict", *words, "--format", "cutout", cwd=work)
    for form in ("map", "mask", "cutout", "overlay", "panel"):
        words = ("photos", "--output", form, "--format", form)
        said(picanet, "predict", *words, cwd=work)
    check_results(python, work)
    said(picanet, "web", "site", cwd=work)
    files = {path.name for path in (work / "site").iterdir()}
    assert {"index.html", "model.json", "LICENSES.txt", "litert-2.5.3"} <= files, files
    failed = run(picanet, "train", "--tfrecords", "nowhere", cwd=work)
    assert failed.returncode == 1 and "Traceback" not in failed.stderr, failed.stderr
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, predicts in {work}")


def built(folder: Path) -> Path:
    # setuptools would keep what an earlier build left of modules that are no more.
    for old in (folder, ROOT / "build" / "lib"):
        shutil.rmtree(old, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("picanet_tf-*.whl")
    return wheel


def check_content(wheel: Path) -> None:
    assert wheel.stat().st_size < MOST_BYTES, wheel.stat().st_size
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        *("picanet_tf/py.typed", "picanet_tf/presets/samples/astronaut.png"),
        *(f"picanet_tf/presets/picanet_vgg16_duts.{e}" for e in "json md".split()),
        *(f"picanet_tf/presets/picanet_vgg16_duts.{e}" for e in "npz tflite".split()),
        *("data_pipeline/convert.py", "picanet_tf/commands/predict.py"),
        *(f"{WEB}/{name}" for name in ("index.html", "package-lock.json")),
        f"{WEB}/node_modules/@litertjs/core/wasm/litert_wasm_internal.wasm",
    ):
        assert name in names, name
    foreign = {name.split("/")[0] for name in names}
    assert len(foreign) == 3, foreign  # the two packages, and the wheel's own facts


def installed(wheel: Path, folder: Path) -> tuple[Path, Path]:
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = [line.split("#")[0].strip() for line in lines]
    wanted = [line for line in wanted if line.startswith(ENOUGH)]
    assert len(wanted) == len(ENOUGH), wanted
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *wanted], check=True, env=clean_environment())
    subprocess.run([*pip, "--no-deps", wheel], check=True, env=clean_environment())
    return python, folder / "bin" / "picanet"


def check_results(python: Path, work: Path) -> None:
    names = sorted(path.name for path in (work / "photos").glob("*.png"))
    assert names == ["astronaut.cutout.png", "astronaut.png"], names
    script = (
        "import numpy as np\n"
        "from PIL import Image\n"
        "alpha = np.asarray(Image.open('photos/astronaut.cutout.png'))[..., 3] / 255\n"
        "plain = np.asarray(Image.open('plain/astronaut.png'))[..., 3] / 255\n"
        "grey = np.asarray(Image.open('map/astronaut.png')) / 255\n"
        "assert alpha.shape == (512, 512) and np.array_equal(plain, grey)\n"
        "assert 0 < np.abs(alpha - plain).mean() < 0.1  # guided by the photo's edges\n"
        "assert alpha[100:200, 180:260].mean() > 0.9  # her face\n"
        "assert alpha[:100, 300:380].mean() < 0.1  # the wall behind\n"
    )
    said(python, "-c", script, cwd=work)
    for form in ("map", "mask", "cutout", "overlay", "panel"):
        # The earlier cut-out was skipped.
        found = sorted(path.name for path in (work / form).iterdir())
        assert found == ["astronaut.png", "rocket.png"], found


def run(*words, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env=clean_environment(),
        capture_output=True,
        text=True,
    )


def clean_environment() -> dict[str, str]:
    """Without the checkout: pip, too, would find the package there, as installed."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}


def said(*words, cwd: Path) -> str:
    done = run(*words, cwd=cwd)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
