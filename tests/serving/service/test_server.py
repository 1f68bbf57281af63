"""The service as a program: how it starts, works under load, and ends."""

import contextlib
import http.client
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from PIL import Image

from picanet_tf.core.errors import PicanetError
from picanet_tf.serving import service
from picanet_tf.serving.service import Limits
from tests.serving import load
from tests.serving.load import ROOT, encoded
from tests.serving.networks import photo
from tests.serving.service.conftest import wait_for

BLOCKED = """
import sys
sys.modules.update(tensorflow=None, keras=None)
import picanet_tf.serving
from picanet_tf.commands import serve
from picanet_tf.inference import load_model
from picanet_tf.serving.service import create_app, server
app = create_app(load_model(sys.argv[1], engine="litert"))
print([route.path for route in app.routes])
"""


def test_service_starts_without_tensorflow(litert_file):
    run = subprocess.run(
        [sys.executable, "-c", BLOCKED, litert_file],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.stdout.strip() == "['/', '/predict', '/health']", run.stderr


def test_sixty_requests_of_which_six_are_broken(litert_file, model):
    calls = load.mixed(load.good(model, longest=160), load.broken(), 60)
    limits = f"--max_bytes={load.MAX_BYTES}", f"--max_pixels={load.MAX_PIXELS}"
    with load.service(f"--model={litert_file}", *limits) as (process, port):
        report = load.load(port, calls, 8, process.pid)
    assert report.wrong == []
    assert report.statuses["good", 200] == len(report.seconds) == 54
    statuses = {status for name, status in report.statuses if name != "good"}
    assert statuses == {400, 404, 413}
    assert report.growth < 20
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_request_in_progress_is_finished_on_shutdown(litert_file, number):
    """Then exit code 0, and a word on it."""
    large = encoded(Image.fromarray(photo((1200, 1500))), "PNG")
    with load.service(f"--model={litert_file}") as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("POST", "/", large)
        time.sleep(0.1)
        process.send_signal(number)
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read().startswith(b"\x89PNG")
        assert process.wait(10) == 0
        log = process.log.read_text()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    assert "Stopping; running requests have 8 s to finish" in log
    assert log.strip().endswith("Service stopped")
    assert "Traceback" not in log and "POST" not in log  # no line a request
    assert f"http://127.0.0.1:{port}  tiny; limits: 32,000,000 bytes and " in log


SLOW = """
import sys, time
from absl import flags
from picanet_tf.commands import serve
from picanet_tf.core import cli
from picanet_tf.serving.service import app, server
server._GRACE = 1
app.Drawing.__call__ = lambda self, job: print("drawing", flush=True) or time.sleep(60)
serve.define_flags()
cli.run(serve.main)
"""


def test_program_ends_while_an_abandoned_request_is_computed(litert_file, jpeg):
    words = [sys.executable, "-c", SLOW, f"--model={litert_file}", "--port=0"]
    process = subprocess.Popen(
        [*words, "--nopage"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = next(line for line in process.stderr if "http://" in line)
        port = int(re.search(r"http://127.0.0.1:(\d+) ", line)[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST", "/", jpeg)
        assert process.stdout.readline() == "drawing\n"
        process.send_signal(signal.SIGTERM)
        assert connection.getresponse().status == 503
        assert process.wait(30) == 0
        assert process.stderr.read().endswith("Service stopped\n")
    finally:
        process.kill()
        process.communicate()


def test_slow_requests_get_503_on_shutdown(start, gated, jpeg, monkeypatch, caplog):
    monkeypatch.setattr("picanet_tf.serving.service.server._GRACE", 1)
    client = start(gated)
    gated.gate.clear()
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        sent = [enter(contextlib.closing(client.begin(jpeg))) for _ in range(3)]
        half = client.begin(jpeg[:10], len(jpeg))
        sent.append(enter(contextlib.closing(half)))
        wait_for(lambda: gated.entered == 2)
        client.server.should_exit = True
        for connection in sent:
            answer = connection.getresponse()
            assert answer.status == 503
            assert answer.read() == b'{"error":"the service is stopping"}'
    gated.gate.set()
    assert "Traceback" not in caplog.text


def test_invalid_arguments_are_reported_in_one_line(litert_file, tmp_path):
    def said(*words):
        command = [sys.executable, "-m", "picanet_tf.commands.serve", *words]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == 1
        return run.stderr.strip().splitlines()

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (line,) = said(f"--model={litert_file}", f"--port={port}")
    assert f"error: --port {port} of 127.0.0.1 cannot be used: Address already" in line
    (line,) = said("--model=nothing.tflite", "--port=0")
    assert "there is no model file nothing.tflite" in line
    (tmp_path / "mine.keras").touch()
    (line,) = said(f"--model={tmp_path}/mine.keras", "--port=0")
    assert "mine.keras has no LiteRT file to serve. Create one: picanet export" in line
    (line,) = said("--host=0.0.0.0", "--port=0")
    assert "--host 0.0.0.0 is open to other machines" in line
    assert "--allowed_hosts example.com" in line


def test_open_host_requires_allowed_hosts():
    for host in ("0.0.0.0", "::", "192.0.2.7", "photos.example.com"):
        with pytest.raises(PicanetError, match=f"`host` {host} is open to other"):
            service.check(host, 0)
    service.check("0.0.0.0", 0, ["photos.example.com"])
    service.check("0.0.0.0", 0, ["*"])
    service.check("127.0.0.1", 0)
    with pytest.raises(PicanetError, match="`host` 256.0.0.1"):
        service.check("256.0.0.1", 0, ["*"])
    for host in ("127.0.0..1", "a" * 64 + ".example.com"):
        with pytest.raises(PicanetError, match=f"`host` {host} is not the name of a h"):
            service.check(host, 0, ["*"])


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "python_multipart"])
def test_a_missing_package_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PicanetError) as error:
        service.check("127.0.0.1", 0)
    assert package.replace("_", "-") in str(error.value)
    assert "pip install starlette uvicorn python-multipart" in str(error.value)


def test_serve_from_python(model, jpeg, monkeypatch):
    """In a thread, too, where signals are not its to handle."""
    from picanet_tf.serving.service import server

    made = []
    make_server = server.make_server
    monkeypatch.setattr(
        server, "make_server", lambda *a: made.append(make_server(*a)) or made[0]
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = (model, "127.0.0.1", port, Limits(queue=1))
    thread = threading.Thread(target=service.serve, args=arguments)
    thread.start()
    wait_for(lambda: made and made[0].started)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/", jpeg)
    assert connection.getresponse().status == 200
    connection.close()
    made[0].should_exit = True
    thread.join(10)
    assert not thread.is_alive()
