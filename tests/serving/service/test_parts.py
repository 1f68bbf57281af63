"""The service's parts, each by itself."""

import asyncio
import threading

import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.inference.options import PredictOptions
from picanet_tf.serving.service.answers import result_name
from picanet_tf.serving.service.hosts import HostPolicy, is_loopback, parse_authority
from picanet_tf.serving.service.jobs import JobQueue, QueueFull
from picanet_tf.serving.service.middleware import HostGuard


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Example.com:80", ("example.com", 80)),
        ("localhost", ("localhost", None)),
        ("[::1]:8080", ("[::1]", 8080)),
        ("", None),
        (None, None),
        ("a b", None),
        ("user@example.com", None),
        ("example.com/path", None),
        ("example.com:", None),
        ("example.com:123456", None),
        ("::1", None),
    ],
)
def test_authorities_are_parsed(text, found):
    assert parse_authority(text) == found


def test_only_named_hosts_are_answered():
    policy = HostPolicy(["a.com", "b.com:8080", "[fe80::1]"])
    good = ("a.com", "a.com:1", "b.com:8080", "[fe80::1]:5", "127.0.0.1:9", "[::1]:9")
    assert all(policy.answers_to(host, 9) for host in good)
    own = ("127.0.0.1", "127.0.0.2:9", "[::1]", "localhost:9")
    assert all(policy.answers_to(host, 9) for host in own)
    bad = ("b.com", "b.com:80", "c.com", "127.0.0.1:8", "128.0.0.1", "*", None)
    assert not any(policy.answers_to(host, 9) for host in bad)
    assert HostPolicy(["b.com:80"]).answers_to("b.com", 9)
    assert HostPolicy().answers_to("localhost", 80)
    # A page of another server on this machine, at port 80.
    assert not policy.accepts("http://localhost", "localhost:9", 9)


def test_any_host_is_not_any_origin():
    policy = HostPolicy(["*"])
    assert policy.answers_to("whatever.com", 9)
    assert policy.accepts("http://whatever.com", "whatever.com", 9)
    assert policy.accepts("https://whatever.com:9", "whatever.com:9", 9)
    assert not policy.accepts("http://evil.com", "whatever.com", 9)
    assert not policy.accepts("http://whatever.com:1", "whatever.com", 9)
    assert HostPolicy((), ["*"]).accepts("null", "localhost:9", 9)


def test_the_default_port_of_an_origin_does_not_matter():
    """Browsers leave it out."""
    policy = HostPolicy((), ["https://A.com:443", "http://b.com:443"])
    assert policy.origins == ["https://a.com", "http://b.com:443"]
    assert policy.accepts("https://a.com", "localhost:9", 9)
    assert not policy.accepts("http://b.com", "localhost:9", 9)


@pytest.mark.parametrize("word", ["http://a.com", "a.com/x", "", "a b", "::1"])
def test_invalid_hosts_are_rejected(word):
    with pytest.raises(PicanetError, match="`allowed_hosts` must be names"):
        HostPolicy([word])


@pytest.mark.parametrize("word", ["a.com", "https://a.com/", "ftp://a.com", "null"])
def test_invalid_origins_are_rejected(word):
    with pytest.raises(PicanetError, match="`allowed_origins` must be origins"):
        HostPolicy((), [word])


def test_host_guard_refuses_foreign_hosts_and_origins():
    """Which an ASGI server that lets more through would lean on."""
    passed, sent = [], []

    async def app(scope, receive, send):
        passed.append(scope["type"])

    async def send(message):
        sent.append(message.get("status", message.get("code")))

    def ask(kind, *headers):
        pairs = [(name.encode(), value.encode()) for name, value in headers]
        scope = {"type": kind, "headers": pairs, "server": ("127.0.0.1", 9)}
        passed.clear(), sent.clear()
        asyncio.run(HostGuard(app, HostPolicy())(scope, None, send))
        return passed + [code for code in sent if code]

    own = ("host", "localhost:9")
    assert ask("http", own) == ["http"]
    assert ask("websocket", own, ("origin", "http://localhost:9")) == ["websocket"]
    assert ask("lifespan") == ["lifespan"]
    assert ask("websocket", own, ("origin", "http://evil.com")) == [1008]
    assert ask("websocket", ("host", "evil.com")) == [1008]
    assert ask("http", own, own) == ask("http", own, ("host", "evil.com")) == [421]
    assert ask("http") == [421]


def test_loopback():
    assert all(map(is_loopback, ["127.0.0.1", "127.1.2.3", "localhost", "::1"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "192.0.2.7", "example.com", ""]))


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("photo.jpg", "photo.map.png"),
        ("", "image.map.png"),
        ("C:\\me\\a.b.png", "a.b.map.png"),
        ("../../etc/passwd", "passwd.map.png"),
        ("x" * 300, "x" * 100 + ".map.png"),
    ],
)
def test_names_of_results_are_sanitized(sent, name):
    assert result_name(sent, PredictOptions(form="map")) == name


def test_first_come_first_served():
    """A large job waits for room, and those behind it for the large one."""
    opened, order = threading.Event(), []

    def job(name, value=None):
        def work(_):
            order.append(name)
            opened.wait(10)
            return value or name

        return work

    async def run():
        jobs = JobQueue(capacity=10, threads=5, length=3)
        first = jobs.add(job("first"), 4)
        large = jobs.add(job("large"), 10)
        small = jobs.add(job("small"), 1)
        vast = jobs.add(job("vast"), 1000)
        assert (first.started, large.started, small.started) == (True, False, False)
        assert jobs.waiting == 3 and jobs.delay >= 1
        with pytest.raises(QueueFull):
            jobs.check()
        with pytest.raises(QueueFull):
            jobs.add(job("one more"), 1)
        assert jobs.waiting == 3
        while not order:
            await asyncio.sleep(0.01)
        assert order == ["first"]
        opened.set()
        every = [first, large, small, vast]
        results = await asyncio.gather(*(each.result for each in every))
        assert results == order == ["first", "large", "small", "vast"]
        jobs.check()
        jobs.close()

    asyncio.run(run())


def test_abandoned_job_makes_room_for_those_behind():
    opened = threading.Event()

    async def run():
        jobs = JobQueue(capacity=4, threads=4, length=2)
        begun = jobs.add(lambda job: opened.wait(10), 2)
        large, small = jobs.add(lambda job: 1, 4), jobs.add(lambda job: 2, 1)
        assert not small.started
        jobs.abandon(large)
        assert small.started and await small.result == 2
        jobs.abandon(begun)
        assert begun.abandoned
        last = jobs.add(lambda job: 3, 4)
        assert not last.started  # The abandoned one's thread is still at work.
        opened.set()
        assert await last.result == 3
        failing = jobs.add(lambda job: 1 / 0, 1)
        with pytest.raises(ZeroDivisionError):
            await failing.result
        assert await jobs.add(lambda job: 4, 4).result == 4
        jobs.close()

    asyncio.run(run())


def test_queue_of_length_zero():
    opened = threading.Event()

    async def run():
        jobs = JobQueue(capacity=1, threads=1, length=0)
        jobs.check()
        only = jobs.add(lambda job: opened.wait(10), 1)
        with pytest.raises(QueueFull):
            jobs.check()
        with pytest.raises(QueueFull):
            jobs.add(lambda job: 0, 1)
        opened.set()
        assert await only.result
        jobs.check()
        jobs.close()

    asyncio.run(run())
