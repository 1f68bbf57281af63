"""The served page: a process, visited as a browser does."""

import importlib.metadata
import queue
import re
import signal
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.drawing.maps import resize_map
from picanet_tf.serving.page import check
from picanet_tf.serving.page.server import HOST
from tests.serving.page.helpers import ROOT, gradio_or_skip, photo
from tests.serving.page.visitor import Visitor

SAMPLES = ROOT / "samples" / "images"


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (None, "gradio, which is not installed: pip install 'gradio~=6.31'"),
        ("5.49.1", "requires gradio~=6.31, found 5.49.1: pip install"),
        ("6.30.0", "found 6.30.0"),
        ("7.0.0", "found 7.0.0"),
        ("6.31.0", ""),
        ("6.40.1", ""),
    ],
)
def test_missing_or_incompatible_gradio_is_reported(version, message, monkeypatch):
    def found(name):
        assert name == "gradio"
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", found)
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        port = taken.getsockname()[1]
        if message:
            with pytest.raises(PicanetError, match=re.escape(message)):
                check(port)
            return
        taken.listen()
        with pytest.raises(PicanetError, match=f"`port` {port} of 127.0.0.1 cannot"):
            check(port)
    check(port)


@pytest.fixture
def serve(tmp_path):
    """What serves a model's page: model -> (port, process, queue of what it says)."""
    gradio_or_skip()
    (tmp_path / "temporary").mkdir()
    processes = []

    def start(model):
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "picanet_tf.commands", "visualize", "--serve"]
            + ["--port", str(port), "--model", model],
            cwd=ROOT,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": str(ROOT),
                "HOME": str(tmp_path),
                "TMPDIR": str(tmp_path / "temporary"),
                # A proxy that goes nowhere, as none is to be asked.
                "http_proxy": "http://127.0.0.1:9",
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        said = queue.Queue()

        def listen():
            for line in process.stderr:
                said.put(line)
            said.put("")

        threading.Thread(target=listen, daemon=True).start()
        lines = []
        while not lines or "press Ctrl-C to stop" not in lines[-1]:
            lines.append(said.get(timeout=120))
            assert lines[-1], "".join(lines)
        return port, process, said

    yield start
    for process in processes:
        process.kill()
        process.wait()


def interrupted(process, said):
    """Ends it by Ctrl-C: what it says of that."""
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    lines = []
    while line := said.get(timeout=10):
        lines.append(line)
    assert "Page stopped" in "".join(lines)
    assert "Traceback" not in "".join(lines)
    return lines


def test_page_answers_a_visitor(serve, network, tmp_path):
    network.network.save(tmp_path / "model.keras")
    port, process, said = serve(tmp_path / "model.keras")

    def kept_by_the_page():
        folders = (tmp_path / "temporary").glob("picanet_page_*")
        return [path.name for folder in folders for path in folder.rglob("*")]

    visitor = Visitor(port)
    assert b"picanet_tf: " in visitor.get("/")
    outputs, messages = visitor.trigger("", "load")  # which waits for the attention
    assert {"D6 GAP", "D5 AC"} <= set(outputs) and not messages
    path, pixels = photo(tmp_path)

    file = visitor.upload("<i>.png", b"hello")
    outputs, (message,) = visitor.trigger("A photo", "upload", [file, 0.5, None])
    assert message.endswith(".png: not an image of a known format")
    assert "<i>" not in message

    file = visitor.upload("photo.png", path.read_bytes())
    outputs, messages = visitor.trigger("A photo", "upload", [file, 0.5, None])
    assert not messages
    title = "photo.png, 45 x 30: click on it"
    assert visitor.picture(outputs[title]).shape == (597, 896, 3)
    assert visitor.picture(outputs["cut-out"]).shape == (597, 896, 4)
    assert outputs["A photo"] is None
    assert outputs["D6 GAP loading..."]["value"] is None
    outputs, messages = visitor.follow("A photo", "upload")
    assert not messages
    first = visitor.picture(outputs["D6 GAP"])

    place = {"index": [806, 109], "value": None}
    outputs, messages = visitor.trigger("Click on it", "select", [], place)
    assert not messages
    assert "From pixel 40,5" in outputs.values()
    second = visitor.picture(outputs["D6 GAP"])
    assert second.shape == first.shape and (second != first).any()

    saliency = network.predict(pixels)
    threshold = float(np.median(saliency).round(2))
    outputs, _ = visitor.trigger("Threshold", "change", [None, threshold])
    kept = resize_map(saliency, (597, 896)) >= threshold
    mask = visitor.picture(outputs["mask"])[..., 0] > 127
    assert 0.2 < kept.mean() < 0.8 and (mask == kept).mean() > 0.99

    outputs, _ = visitor.trigger("Download the cut-out", "click", [None, threshold])
    (file,) = outputs.values()
    assert file["orig_name"] == "photo.cutout.png"
    expected = np.where(saliency >= threshold, 255, 0)
    assert (visitor.picture(file)[..., 3] == expected).mean() > 0.999

    with pytest.raises(AssertionError, match="40[34]"):
        visitor.get(f"/gradio_api/file={ROOT / 'README.md'}")
    for path in ("/", "/config", f"/gradio_api/file={file['path']}"):
        assert visitor.status(path, {"Host": f"localhost:{port}"}) == 200
        assert visitor.status(path, {"Host": f"evil.example:{port}"}) == 421
        assert visitor.status(path, {"Origin": f"http://{HOST}:{port}"}) == 200
        assert visitor.status(path, {"Origin": "http://evil.example"}) == 403
        assert visitor.status(path, {"Origin": f"http://{HOST}:{port + 1}"}) == 403
    stranger = Visitor(port, "stranger")  # of whom the server has no photo
    for label, event in (("Click on it", "select"), ("Download the cut-out", "click")):
        outputs, (message,) = stranger.trigger(label, event, [None, 0.5], place)
        assert message == "The photo is no longer available, please drop it again"
    assert "photo.png" in kept_by_the_page()

    interrupted(process, said)
    assert not kept_by_the_page()


def test_the_presets_map_comes_before_tensorflow(serve, tmp_path):
    port, process, said = serve("picanet_vgg16_duts")
    visitor = Visitor(port)
    file = visitor.upload("astronaut.png", (SAMPLES / "astronaut.png").read_bytes())
    outputs, messages = visitor.trigger("A photo", "upload", [file, 0.5, None])
    assert not messages
    # Slow machine or quick, TensorFlow takes longer than a map of LiteRT.
    assert "Attention is loading. Map and cut-out are available already." in list(
        outputs.values()
    )
    alpha = visitor.picture(outputs["cut-out"])[..., 3]
    assert 0.4 < (alpha > 127).mean() < 0.65
    # Amid its import TensorFlow would abort a process that just ends.
    interrupted(process, said)
    assert not list((tmp_path / "temporary").glob("picanet_page_*"))
