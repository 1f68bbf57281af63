import contextlib
import http.client
import io
import threading
import time

import pytest
from PIL import Image

from picanet_tf.inference.litert import LiteRTModel
from picanet_tf.serving.service import Limits, create_app
from picanet_tf.serving.service import server as service_server
from picanet_tf.serving.tflite import write_tflite
from tests.serving.networks import photo, trained_like


class GatedModel(LiteRTModel):
    """Predicts while its gate is open.

    Attributes:
        gate: to open or close.
        entered: how many predictions have come to the gate.
    """

    def __init__(self, path):
        super().__init__(path)
        self.gate = threading.Event()
        self.gate.set()
        self.entered = 0

    def predict(self, images, batch_size=8):
        self.entered += 1
        assert self.gate.wait(20)
        return super().predict(images, batch_size)


class Client:
    """Asks a service on this machine; a connection for each request."""

    def __init__(self, port: int):
        self.port = port

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def post(self, body=b"", path="/", headers=None, method="POST"):
        """(status, headers, body) of the answer."""
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def get(self, path, headers=None):
        return self.post(None, path, headers, "GET")

    def begin(self, body, length=None, path="/"):
        """A connection on which a request was sent, but for its last bytes perhaps."""
        connection = self.connect()
        connection.putrequest("POST", path)
        connection.putheader("Content-Length", str(length or len(body)))
        connection.endheaders(body)
        return connection


@pytest.fixture(scope="session")
def litert_file(tmp_path_factory):
    """A tiny network's LiteRT file, with a map that is not flat."""
    path = tmp_path_factory.mktemp("service") / "tiny.tflite"
    write_tflite(trained_like("UNet", 32, 1 / 32), path)
    return path


@pytest.fixture(scope="session")
def model(litert_file):
    return LiteRTModel(litert_file)


@pytest.fixture
def gated(litert_file, monkeypatch):
    """A model with a gate, of which two images are worked on at once."""
    monkeypatch.setattr("picanet_tf.serving.service.app.cores", lambda: 1)
    return GatedModel(litert_file)


@pytest.fixture
def start(request):
    """Starts a service in a thread: (model, limits, ...) -> its client."""
    with contextlib.ExitStack() as stack:

        def begin(model, limits=None, **allowed):
            limits = limits or Limits()
            app = create_app(model, limits, **allowed)
            return stack.enter_context(running(app, limits))

        yield begin


@contextlib.contextmanager
def running(app, limits):
    """Runs an application in a thread; yields its client."""
    server = service_server.make_server(app, limits)
    with service_server._listen("127.0.0.1", 0) as listener:
        client = Client(listener.getsockname()[1])
        client.server = server
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        wait_for(lambda: server.started)
        try:
            yield client
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def wait_for(condition, seconds=10):
    ending = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ending, "it did not come to pass"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def jpeg():
    """A photo's file."""
    buffer = io.BytesIO()
    Image.fromarray(photo((30, 45))).save(buffer, "JPEG")
    return buffer.getvalue()
