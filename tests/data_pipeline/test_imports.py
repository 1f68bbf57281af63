"""What importing a module loads, so that commands start quickly."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = {path.stem for path in (ROOT / "data_pipeline").glob("[a-z]*.py")}
WITH_TENSORFLOW = {"augment", "augment_boxes", "readers", "schema", "streams"}
# What training and evaluation import before their flags are read.
LIGHT = {"class_maps", "kinds", "listing", "manifest", "pairs"}


def loaded(modules: set[str], packages: set[str]) -> set[str]:
    """Those of `packages` that importing `modules` loads."""
    imports = ", ".join(f"data_pipeline.{module}" for module in sorted(modules))
    code = f"import sys, {imports}; print(*({packages} & sys.modules.keys()))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


def test_light_modules_do_not_import_tensorflow():
    assert WITH_TENSORFLOW < MODULES
    assert loaded(MODULES - WITH_TENSORFLOW, {"tensorflow", "keras"}) == set()


def test_modules_imported_before_the_flags_are_light():
    packages = {"defusedxml", "google_crc32c", "tqdm"}
    assert loaded(LIGHT, packages) == set()
    # So that their `--help` works where only the packages that predict are installed.
    assert loaded({"convert", "verify"}, packages) == {"tqdm"}
