"""The page of `picanet web`, served at / to browsers."""

import json

import pytest

from picanet_tf.serving import web
from picanet_tf.serving.web import temporary

HTML = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
ISOLATED = ("same-origin", "require-corp")
POLICY = "Content-Security-Policy"


@pytest.fixture(scope="module")
def site(litert_file):
    if web.find_runtime() is None:
        pytest.skip("no runtime of the page: run make web-runtime")
    with web.temporary_site(litert_file, "tiny") as folder:
        yield folder


@pytest.fixture
def client(start, model, site):
    return start(model, site=site)


def isolation(headers):
    names = ("Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy")
    return tuple(headers[name] for name in names)


def test_browsers_get_the_page_and_programs_the_usage(client, site):
    status, headers, content = client.get("/", HTML)
    assert status == 200 and headers["Content-Type"].startswith("text/html")
    assert content == (site / "index.html").read_bytes()
    assert isolation(headers) == ISOLATED and headers["Vary"] == "Accept"
    assert headers[POLICY] == web.policy_of(site)
    status, headers, content = client.get("/", {"Accept": "*/*"})
    assert status == 200 and headers["Content-Type"].startswith("text/plain")
    assert b"Browsers get a page here" in content and headers["Vary"] == "Accept"


def test_files_of_the_site_are_served(client, site):
    files = [path for path in site.rglob("*") if path.is_file()]
    assert len(files) > 25
    for path in files:
        status, headers, content = client.get(f"/{path.relative_to(site)}")
        assert status == 200 and content == path.read_bytes()
        assert isolation(headers) == ISOLATED
        assert headers[POLICY] == web.policy_of(site)
        kept = headers["Cache-Control"].startswith("public, max-age=")
        assert kept == (path.suffix == ".tflite")
        known = {".js": "text/javascript", ".wasm": "application/wasm"}
        assert headers["Content-Type"].startswith(known.get(path.suffix, ""))
    tag = client.get("/app.js")[1]["ETag"]
    assert client.get("/app.js", {"If-None-Match": tag})[0] == 304


def test_site_leaves_the_service_unchanged(client, jpeg, site):
    assert client.post(jpeg)[0] == 200
    assert json.loads(client.get("/health")[2])["status"] == "ok"
    assert client.get("/predict")[0] == 405
    assert client.post(b"", "/", method="DELETE")[0] == 405
    for path in ("/nothing", "/litert-2.5.3/", "/../setup.py", "/..%2fsetup.py"):
        status, _, content = client.get(path)
        assert status == 404 and "not found" in json.loads(content)["error"]


def test_the_folder_is_removed(litert_file, site):
    with web.temporary_site(litert_file, "tiny") as folder:
        assert (folder / "index.html").is_file() and folder != site
    assert not folder.exists()


def test_without_the_runtime_there_is_no_page(litert_file, monkeypatch, caplog):
    monkeypatch.setattr(temporary, "find_runtime", lambda: None)
    with web.temporary_site(litert_file, "tiny") as folder:
        assert folder is None
    said = "No page at /: its runtime is not installed; picanet web fetches it once"
    assert said in caplog.text


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Read-only"), OSError(28, "Full")]
)
def test_unwritable_disk_leaves_out_the_page(
    litert_file, monkeypatch, caplog, error, site
):
    def fail(*_):
        raise error

    monkeypatch.setattr(temporary.tempfile, "TemporaryDirectory", fail)
    with web.temporary_site(litert_file, "tiny") as folder:
        assert folder is None
    assert "No page at /:" in caplog.text and error.strerror in caplog.text
