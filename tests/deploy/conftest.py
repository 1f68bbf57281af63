import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip(
    "tensorflow_serving", reason="pip install --no-deps tensorflow-serving-api"
)

from picanet_tf.serving import exporting
from picanet_tf.serving.request import ExportRequest
from tests.deploy.models import Model, load_versions
from tests.deploy.server import Server
from tests.serving.networks import encoded, photo, trained_like

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """A folder with the versions 1 and 2, exports of one network."""
    base = tmp_path_factory.mktemp("export") / "picanet"
    network = trained_like("6GAP_5AC", image_size=32, width=1 / 32)
    exporting.export(network, ExportRequest(base), [photo()])
    shutil.copytree(base / "1", base / "2")
    return base


@pytest.fixture(scope="session")
def versions(base):
    return load_versions(base)


@pytest.fixture(scope="session")
def direct(versions):
    """The SavedModel called without a server: bytes to the bytes of a PNG."""

    def call(image: bytes) -> bytes:
        outputs = versions[1].run("image_bytes", {"image_bytes": [image]})
        return outputs["saliency_png_bytes"][0]

    return call


@pytest.fixture
def serve(versions):
    """A function that starts a server: serve(batching=...)."""
    servers = []

    def start(**options) -> Server:
        model = Model("picanet", versions, {"stable": 1, "canary": 2}, **options)
        servers.append(Server(model).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__()


def command(kind: str, *words) -> list[str]:
    return [sys.executable, f"deploy/client_{kind}.py", *map(str, words)]


def run(kind: str, *words) -> subprocess.CompletedProcess:
    done = subprocess.run(
        command(kind, *words), cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr
    return done


def write_photos(folder: Path, count: int, corrupt: int = 0) -> tuple[list, list]:
    """Writes images into sub-folders, the corrupt ones spread over them.

    Returns:
        (good ones, corrupt ones), paths below `folder`.
    """
    good, bad = [], []
    for number in range(count):
        spoilt = corrupt and number % (count // corrupt) == 1
        sub = ("", "a", "a/b")[number % 3]
        form = ("JPEG", "PNG", "GIF")[number % 3]
        height, width = 20 + number % 7, 31 + number % 11
        content = encoded(photo((height, width), number), form)
        path = Path(sub) / f"{number}.{form.lower()}"
        if spoilt:
            content = (b"", b"no photo", content[:40])[number % 3]
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        (bad if spoilt else good).append(path)
    return good, bad
