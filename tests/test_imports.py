"""No command imports more than it uses: what is loaded when each has done its work."""

import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from tests import commands

ROOT = pathlib.Path(__file__).parents[1]
# Runs a script as `python script.py words` does, then prints what it has loaded.
RUN = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    if sys.argv[0].endswith(".py"):
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
except SystemExit as stop:
    code = stop.code or 0
print("\\nloaded:", code, *sorted({name.partition(".")[0] for name in sys.modules}))
"""
HEAVY = {"tensorflow", "keras", "matplotlib", "cv2", "scipy", "sklearn", "skimage"}
OURS = {*HEAVY, "py_sod_metrics", "tensorboard"}


def loaded(*words):
    """Those of OURS that a command loads, which must go well."""
    run = commands.call("-c", RUN, *words, modules=commands.LIGHT)
    last = run.stdout.strip().splitlines()[-1].split()
    assert last[:2] == ["loaded:", "0"], run.stderr
    return OURS & set(last[2:])


@pytest.mark.parametrize(
    "command",
    [
        *sorted({path.name for path in ROOT.glob("*.py")} - {"setup.py"}),
        "data_pipeline.convert",
        "data_pipeline.verify",
    ],
)
def test_help_imports_nothing_heavy(command):
    assert loaded(command, "--help") == set()


def test_help_of_train_starts_quickly():
    """In half a second; on a slow machine in twice the time that its packages take."""
    packages = "import absl.flags, absl.logging, numpy, PIL.Image"
    lines = {"help": ("train.py", "--help"), "packages": ("-c", packages)}
    seconds = {name: [] for name in lines}
    for _ in range(5):  # in turns, so that what else is running meets both
        for name, words in lines.items():
            start = time.perf_counter()
            command = [sys.executable, *words]
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - start)
    assert min(seconds["help"]) < max(0.5, 2 * min(seconds["packages"])), seconds
    assert loaded("train.py", "--help") == set()


@pytest.fixture
def maps(tmp_path):
    """Masks of the samples, which do as maps of themselves."""
    return shutil.copytree(ROOT / "samples" / "masks", tmp_path / "maps")


def test_maps_on_disk_are_scored_without_tensorflow(maps, tmp_path):
    words = ("evaluate.py", "--predictions", f"copy={maps}", "--masks", maps)
    fast = loaded(*words, "--metrics", "fast")
    assert fast == set()
    output = tmp_path / "out"
    drawn = loaded(*words, "--output", output, "--workers", 0)
    assert not drawn & {"tensorflow", "keras"}
    assert {"matplotlib", "py_sod_metrics"} <= drawn
    assert (output / "report.json").is_file() and list(output.rglob("*.png"))
