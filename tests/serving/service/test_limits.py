"""Too many, too slow or vanished clients harm no others, and nothing is lost."""

import contextlib
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.routing import Route

from picanet_tf.core.errors import PicanetError
from picanet_tf.inference.options import PredictOptions
from picanet_tf.serving.service import Limits
from picanet_tf.serving.service.answers import Drawing, PictureResponse
from picanet_tf.serving.service.bodies import open_image
from tests.serving.load import encoded
from tests.serving.service.conftest import running, wait_for


def waiting(client):
    return json.loads(client.get("/health")[2])["waiting"]


@pytest.fixture
def pool():
    with ThreadPoolExecutor(16) as pool:
        yield pool


def test_full_queue_answers_503_and_loses_nothing(start, gated, jpeg, pool):
    """Two are worked on, two may wait."""
    client = start(gated, Limits(queue=2))
    wanted = client.post(jpeg)[2]
    gated.entered = 0
    gated.gate.clear()
    accepted = [pool.submit(client.post, jpeg) for _ in range(2)]
    wait_for(lambda: gated.entered == 2)
    accepted += [pool.submit(client.post, jpeg) for _ in range(2)]
    wait_for(lambda: waiting(client) == 2)
    for _ in range(5):
        status, headers, content = client.post(jpeg)
        assert status == 503 and 1 <= int(headers["Retry-After"]) <= 60
        assert json.loads(content)["error"].startswith("too many requests are waiting")
    # Before its body has come, too.
    with contextlib.closing(client.begin(jpeg[:10], len(jpeg))) as early:
        assert early.getresponse().status == 503
    gated.gate.set()
    for answer in accepted:
        assert answer.result()[0] == 200 and answer.result()[2] == wanted
    assert client.post(jpeg)[2] == wanted


def test_request_that_waits_too_long_gets_503(start, gated, jpeg, pool):
    client = start(gated, Limits(timeout=0.4))
    gated.gate.clear()
    worked_on = [pool.submit(client.post, jpeg) for _ in range(2)]
    wait_for(lambda: gated.entered == 2)
    begin = time.monotonic()
    status, headers, content = client.post(jpeg)
    assert status == 503 and int(headers["Retry-After"]) >= 1
    assert "the request was not started within 0.4 s" in json.loads(content)["error"]
    assert 0.3 < time.monotonic() - begin < 5
    gated.gate.set()  # What was begun is finished, however long it took.
    assert [answer.result()[0] for answer in worked_on] == [200, 200]


def test_disconnected_client_frees_its_place(start, gated, jpeg, pool):
    client = start(gated, Limits(queue=1))
    gated.gate.clear()
    worked_on = [client.begin(jpeg), pool.submit(client.post, jpeg)]
    wait_for(lambda: gated.entered == 2)
    leaving = client.begin(jpeg)
    wait_for(lambda: waiting(client) == 1)
    assert client.post(jpeg)[0] == 503
    leaving.close()
    wait_for(lambda: waiting(client) == 0)
    staying = pool.submit(client.post, jpeg)
    wait_for(lambda: waiting(client) == 1)
    worked_on[0].close()  # Its thread goes on; its result is discarded.
    gated.gate.set()
    assert worked_on[1].result()[0] == staying.result()[0] == 200
    assert gated.entered == 3  # No image was drawn for the clients that left.


def test_abandoned_jobs_do_no_work(gated, jpeg):
    """Between its steps a job checks whether it was abandoned."""

    class Nobody:
        abandoned = True

    class LeavesMeanwhile:
        @property
        def abandoned(self):
            return gated.entered > 0

    def drawing():
        return Drawing(gated, PredictOptions(form="cutout"), open_image(jpeg, Limits()))

    gated.render = None  # would fail
    assert drawing()(Nobody()) == b"" and gated.entered == 0
    assert drawing()(LeavesMeanwhile()) == b"" and gated.entered == 1


def test_large_images_are_processed_alone(start, gated, pool):
    """`max_pixels` holds for all images at once."""
    client = start(gated, Limits(max_pixels=10_000))
    large = encoded(Image.new("L", (100, 90)), "PNG")
    small = encoded(Image.new("L", (10, 10)), "PNG")
    gated.gate.clear()
    answers = [pool.submit(client.post, large)]
    wait_for(lambda: gated.entered == 1)
    answers.append(pool.submit(client.post, small))
    wait_for(lambda: waiting(client) == 1)
    assert gated.entered == 1
    gated.gate.set()
    assert [answer.result()[0] for answer in answers] == [200, 200]


def test_missing_body_times_out(start, model, jpeg):
    client = start(model, Limits(timeout=0.4))
    begin = time.monotonic()
    with contextlib.closing(client.begin(jpeg[:100], len(jpeg))) as connection:
        answer = connection.getresponse()
        assert answer.status == 408 and answer.headers["Connection"] == "close"
        assert json.loads(answer.read())["error"] == (
            "the image was not received within 0.4 s"
        )
        assert 0.3 < time.monotonic() - begin < 3
    assert client.post(jpeg)[0] == 200


def test_slow_body_times_out(start, model, jpeg):
    """Each byte is in time, all together are not."""
    client = start(model, Limits(timeout=0.5))
    with contextlib.closing(client.begin(jpeg[:1], len(jpeg))) as connection:
        for place in range(1, 12):
            time.sleep(0.1)
            with contextlib.suppress(OSError):
                connection.sock.sendall(jpeg[place : place + 1])
        assert connection.getresponse().status == 408


@pytest.mark.parametrize("sent", [b"", b"POST / HTTP/1.1\r\nHost: loc"])
def test_missing_headers_time_out(start, model, sent):
    client = start(model, Limits(timeout=0.4))
    with socket.create_connection(("127.0.0.1", client.port), timeout=5) as connection:
        connection.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""  # cut


def test_each_request_of_a_connection_has_its_own_timeout(start, model, jpeg):
    client = start(model, Limits(timeout=0.5))
    with contextlib.closing(client.connect()) as connection:
        for _ in range(3):
            connection.request("POST", "/", jpeg)
            answer = connection.getresponse()
            assert answer.status == 200 and answer.read()
            time.sleep(0.3)  # longer than `timeout` in all
        assert connection.sock is not None


def test_answer_that_is_not_read_is_dropped(model):
    """It is given up, with the bytes that it held."""
    ended = threading.Event()

    async def large(_):
        return PictureResponse(bytes(40_000_000), "a.png", ended.set)

    limits = Limits(timeout=0.5)
    with (
        running(Starlette(routes=[Route("/", large)]), limits) as client,
        contextlib.closing(client.connect()) as connection,
    ):
        connection.request("GET", "/")
        wait_for(lambda: client.server.server_state.connections, 5)
        assert ended.wait(5)
        wait_for(lambda: not client.server.server_state.connections, 5)


def test_an_answer_is_sent_whole():
    content = bytes(range(256)) * 20_000

    async def large(_):
        return PictureResponse(content, "a.png", lambda: None)

    with running(Starlette(routes=[Route("/", large)]), Limits()) as client:
        assert client.get("/")[2] == content


def test_total_bytes_in_progress_are_limited(start, model, jpeg):
    """Eight bodies' worth of bytes are held, then no more until some are given back."""
    limits = Limits(max_bytes=len(jpeg))
    client = start(model, limits)
    almost = jpeg[:-1]
    held = [client.begin(almost, len(jpeg)) for _ in range(8)]
    wait_for(lambda: client.post(jpeg)[0] == 503)
    status, headers, content = client.post(jpeg)
    assert status == 503 and headers["Retry-After"] == "1"
    assert json.loads(content)["error"].startswith("too many bytes are being processed")
    for connection in held[:2]:
        connection.close()
    wait_for(lambda: client.post(jpeg)[0] == 200)
    for connection in held[2:]:  # Theirs was not lost.
        connection.sock.sendall(jpeg[-1:])
        assert connection.getresponse().status == 200
        connection.close()


def test_malformed_requests_are_refused(start, model, jpeg):
    client = start(model)
    for sent in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"POST / HTTP/1.1\r\n\r\n",  # no Host
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    ):
        address = "127.0.0.1", client.port
        with socket.create_connection(address, timeout=5) as connection:
            # Only what is too long may be cut off before it is answered.
            long = len(sent) > 100_000
            with contextlib.suppress(*[ConnectionError] * long):
                connection.sendall(sent)
                assert connection.recv(1000).startswith(b"HTTP/1.1 4"), sent[:60]
    assert client.post(jpeg)[0] == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_bytes": 0},
        {"max_pixels": 0},
        {"max_pixels": 10**9},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"queue": -1},
    ],
)
def test_invalid_limits_are_rejected(wrong):
    with pytest.raises(PicanetError, match=f"`{next(iter(wrong))}` must be "):
        Limits(**wrong)
