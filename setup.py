"""Adds the page of `picanet web` to the package; all else is in pyproject.toml.

The page's runtime is included if `npm ci --prefix web` has fetched it.
"""

import json
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WEB = Path(__file__).parent / "web"
MANIFESTS = ("site.json", "package.json", "package-lock.json")


class BuildWithPage(build_py):
    def run(self):
        super().run()
        if self.editable_mode:  # The package finds web/ itself.
            return
        site = json.loads((WEB / "site.json").read_text())
        runtime = [f"node_modules/{file['source']}" for file in site["runtime"]]
        if not all((WEB / file).is_file() for file in runtime):
            runtime = []
        folder = Path(self.build_lib, "picanet_tf", "serving", "web", "sources")
        shutil.rmtree(folder, ignore_errors=True)
        for file in (*site["page"], *MANIFESTS, *runtime):
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(WEB / file, target)


setup(cmdclass={"build_py": BuildWithPage})
