"""Locates the page's own files, which `web/site.json` lists."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import NamedTuple

_INSTALLED = Path(__file__).parent / "sources"
# In an installed package, setup.py has put them beside this file.
SOURCES = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[3] / "web"


class RuntimeFile(NamedTuple):
    """A file of an npm package that the page needs.

    Attributes:
        source: its path in `node_modules`.
        name: its path on the page.
        imported_as: the name by which modules import it; "" if none does.
    """

    source: str
    name: str
    imported_as: str = ""


class SiteFiles(NamedTuple):
    """The files of the page.

    Attributes:
        page: names of its own files in `SOURCES`.
        runtime: files of npm packages that the page needs.
        version: version of the runtime, LiteRT.js.
        runtime_folder: folder of the runtime's files on the page. Its name contains the
            version, so that browsers may cache it.
    """

    page: tuple[str, ...]
    runtime: tuple[RuntimeFile, ...]
    version: str
    runtime_folder: str


@functools.cache
def site_files() -> SiteFiles:
    """Returns the files of the page, from `site.json`."""
    listed = json.loads((SOURCES / "site.json").read_text("utf-8"))
    manifest = json.loads((SOURCES / "package.json").read_text("utf-8"))
    version = manifest["dependencies"]["@litertjs/core"]
    folder = f"litert-{version}"
    runtime = tuple(
        RuntimeFile(
            each["source"], f"{folder}/{each['name']}", each.get("imported_as", "")
        )
        for each in listed["runtime"]
    )
    return SiteFiles(tuple(listed["page"]), runtime, version, folder)
