"""Writes the page's folder, ready for any static host, which is also an npm package."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

from picanet_tf import __version__
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import cannot_write, sha256_of, write_json
from picanet_tf.core.path_checks import check_not_current, name_others
from picanet_tf.serving.web.network import Network
from picanet_tf.serving.web.sources import SOURCES, site_files

_WORKER = "sw.js"
_MARK = 'content="picanet web"'  # in index.html


def check_output(output: Path, overwrite: bool = False) -> None:
    """Checks that a site may be written, before any work is done.

    Args:
        output: the folder.
        overwrite: whether a site there is replaced.

    Raises:
        PicanetError: if the folder exists, or with `overwrite` if it holds anything but
            the files of a site.
    """
    check_not_current(output, example="site", argument="OUTPUT")
    path = output.resolve()
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    files = _files_of_site(path)
    if files is None:
        raise PicanetError(
            f"`OUTPUT` {output} exists already, and picanet web did not write it: give "
            "another name"
        )
    if others := name_others(path, files):
        raise PicanetError(
            f"`OUTPUT` {output} holds a site and other files, which picanet web did "
            f"not write and would delete: {others}. Give another name and copy the new "
            "files over the old ones, or move the others away"
        )
    if not overwrite:
        raise PicanetError(
            f"`OUTPUT` {output} exists already. Give --overwrite to replace it, or "
            "another name"
        )


def _files_of_site(folder: Path) -> list[str] | None:
    """Returns the names of a site's files; None if the folder is not a site."""
    try:
        page = (folder / "index.html").read_text("utf-8")
        code = (folder / _WORKER).read_text("utf-8")
        files = json.loads(re.search(r"^const FILES = (\[.*\]);$", code, re.M)[1])
    except (OSError, ValueError, TypeError):
        return None
    return [*files, _WORKER] if _MARK in page else None


def name_of(model: str) -> str:
    """Returns a network's name for visitors, with at most the last two parts of a path.

    Example:
        >>> name_of("/home/me/export/mine/1"), name_of("picanet_vgg16_duts")
        ('mine/1', 'picanet_vgg16_duts')
    """
    path = Path(model)
    if path.suffix in (".tflite", ".keras"):
        return path.stem
    return "/".join(path.resolve().parts[-2:]) if path.exists() else model


def write_site(
    output: Path,
    runtime: Path,
    name: str,
    network: Network,
    attention: Network | None = None,
    card: Path | None = None,
) -> list[str]:
    """Writes page, runtime and network to an empty folder.

    Args:
        output: the folder.
        runtime: folder of npm packages, from `find_runtime` or `fetch_runtime`.
        name: name of the network, see `name_of`.
        network: the network.
        attention: the same network with its attention as outputs, which the page loads
            when a visitor asks where the network looked; None: the page does not offer
            that.
        card: the network's model card, Markdown; None: there is none.

    Returns:
        The names of all files, relative to the folder.

    Raises:
        PicanetError: if the folder cannot be written, or the disk is full.
    """
    try:
        return _write(output, runtime, name, network, attention, card)
    except OSError as error:
        raise cannot_write(output.parent, error) from error


def _write(output, runtime, name, network, attention, card) -> list[str]:
    runtime_folder = site_files().runtime_folder
    (output / runtime_folder).mkdir()
    if card:
        shutil.copyfile(card, output / "NETWORK.md")
    for file in site_files().page:
        _copy(SOURCES / file, output / file)
    for each in site_files().runtime:
        _copy(runtime / each.source, output / each.name)
    model = {
        "name": name,
        "runtime": f"{runtime_folder}/",
        **_write_network(output, name, network),
    }
    if attention:
        model["attention"] = _write_network(output, f"{name}.attention", attention)
        model["attention"]["modules"] = attention.attention
    write_json(output / "model.json", model)
    write_json(output / "package.json", _package())
    files = sorted(
        path.relative_to(output).as_posix()
        for path in output.rglob("*")
        if path.is_file() and path.name != _WORKER
    )
    _complete_worker(output, files, model["file"])
    return [*files, _WORKER]


def _write_network(output: Path, stem: str, network: Network) -> dict:
    """Writes a network; returns its entry in `model.json`."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "network"
    digest = hashlib.sha256(network.content).hexdigest()
    # Named after the start of its hash, so that browsers may cache it for ever.
    file = f"{stem}.{digest[:12]}.tflite"
    (output / file).write_bytes(network.content)
    return {
        "file": file,
        "bytes": len(network.content),
        "sha256": digest,
        "imageSize": network.image_size,
        "webgpu": network.webgpu,
    }


def _package() -> dict:
    """Returns the manifest that makes the folder an npm package."""
    manifest = json.loads((SOURCES / "package.json").read_text("utf-8"))
    return {
        **{key: manifest[key] for key in ("name", "description", "type")},
        "version": __version__,
        "license": "SEE LICENSE IN LICENSES.txt",
        "main": "./picanet.js",
        "types": "./picanet.d.ts",
        "exports": {
            ".": {"types": "./picanet.d.ts", "default": "./picanet.js"},
            "./*": "./*",
        },
    }


def policy_of(site: Path) -> str:
    """Returns a site's Content-Security-Policy, read from its page.

    Workers take theirs from headers.
    """
    pattern = r'http-equiv="Content-Security-Policy" content="([^"]+)"'
    return re.search(pattern, (site / "index.html").read_text("utf-8"))[1]


def _complete_worker(output: Path, files: list[str], network: str) -> None:
    """Fills in the service worker's list of files and version, a hash of all files."""
    hashes = "".join(sha256_of(output / file) for file in files)
    version = hashlib.sha256(hashes.encode()).hexdigest()[:16]
    code = (output / _WORKER).read_text("utf-8")
    code = code.replace("%VERSION%", version)
    code = code.replace("['%FILES%']", json.dumps(files))
    code = code.replace("%NETWORK%", network)
    code = code.replace("'%POLICY%'", json.dumps(policy_of(output)))
    (output / _WORKER).write_text(code, "utf-8")


def _copy(source: Path, target: Path) -> None:
    """Copies a file; in modules, replaces package names by paths, as workers need."""
    if target.suffix != ".js":
        shutil.copyfile(source, target)
        return
    text = source.read_text("utf-8")
    for each in site_files().runtime:
        if each.imported_as:
            path = f"./{each.name}"
            if target.parent.name == site_files().runtime_folder:
                path = f"./{Path(each.name).name}"
            pattern = rf"""(from\s*|import\()(["']){re.escape(each.imported_as)}\2"""
            text = re.sub(pattern, rf"\g<1>\g<2>{path}\g<2>", text)
    text = re.sub(r"\n//# sourceMappingURL=\S*\s*$", "\n", text)
    target.write_text(text, "utf-8")
