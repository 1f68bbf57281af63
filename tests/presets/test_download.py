"""Downloads from a local server that breaks off or refuses answers."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from picanet_tf.core import files
from picanet_tf.core.errors import PicanetError
from picanet_tf.presets.download import cache_folder, download
from tests.presets.file_server import Served, serving

ROOT = Path(__file__).parents[2]
CONTENT = np.random.default_rng(0).bytes(100_000)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "keras" / "picanet_tf"


@pytest.fixture
def server():
    with serving(Served(CONTENT)) as served:
        yield served


def fetch(served, **changes):
    values = {"sha256": served.sha256, "size": len(served.content), "name": "file.bin"}
    return download(served.url, **{**values, **changes})


def part_of(cache, served):
    return cache / f"file.bin.{served.sha256[:12]}.part"


def kept(cache):
    """What the cache holds; the empty file that locks it does not count."""
    return sorted(path.name for path in cache.glob("[!.]*"))


def test_cache_folder_is_below_keras_home(tmp_path, monkeypatch):
    assert cache_folder() == tmp_path / "keras" / "picanet_tf"
    monkeypatch.setenv("HOME", str(tmp_path))
    for home in (None, ""):
        monkeypatch.delenv("KERAS_HOME", raising=False)
        if home is not None:
            monkeypatch.setenv("KERAS_HOME", home)
        assert cache_folder() == tmp_path / ".keras" / "picanet_tf"


def test_complete_file_is_requested_once(server, cache):
    path = fetch(server)
    assert path == cache / "file.bin" and path.read_bytes() == CONTENT
    assert kept(cache) == ["file.bin"]
    assert fetch(server) == path
    assert server.asked == [""] and server.sent == [len(CONTENT)]


def test_a_new_version_under_the_old_name_is_downloaded(server, cache):
    fetch(server)
    server.content = CONTENT[::-1]
    assert fetch(server).read_bytes() == CONTENT[::-1]
    assert kept(cache) == ["file.bin"] and len(server.asked) == 2


def test_damaged_file_in_the_cache_is_downloaded_again(server):
    path = fetch(server)
    path.write_bytes(bytes(len(CONTENT)))
    assert fetch(server).read_bytes() == CONTENT


@pytest.mark.parametrize("chunked", [False, True])
def test_interrupted_download_is_resumed(server, cache, chunked):
    server.break_off_after, server.chunked = 40_000, chunked
    with pytest.raises(PicanetError) as raised:
        fetch(server)
    have = part_of(cache, server).stat().st_size
    assert str(raised.value) == (
        f"{server.url} broke off after {have:,} of 100,000 bytes. Run the command "
        "again to resume"
    )
    assert part_of(cache, server).read_bytes() == CONTENT[:have]
    assert have == 40_000 or chunked
    server.break_off_after, server.chunked = None, False
    assert fetch(server).read_bytes() == CONTENT
    assert server.asked == ["", f"bytes={have}-" if have else ""]
    assert server.sent == [40_000, len(CONTENT) - have]
    assert kept(cache) == ["file.bin"]


def test_server_without_ranges_sends_everything_again(server):
    server.break_off_after, server.ranges = 40_000, False
    with pytest.raises(PicanetError, match="broke off after 40,000"):
        fetch(server)
    server.break_off_after = None
    assert fetch(server).read_bytes() == CONTENT
    assert server.asked == ["", "bytes=40000-"]
    assert server.sent == [40_000, len(CONTENT)]


def test_reset_connection_counts_as_an_interruption(server, cache, monkeypatch):
    from http.client import HTTPResponse

    read = HTTPResponse.read

    def reset(response, most=None):
        if part_of(cache, server).exists() and len(reset.blocks) == 1:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        reset.blocks.append(read(response, 30_000))
        return reset.blocks[-1]

    reset.blocks = []
    with monkeypatch.context() as patch:
        patch.setattr(HTTPResponse, "read", reset)
        with pytest.raises(PicanetError, match="broke off after 30,000 of 100,000"):
            fetch(server)
    assert fetch(server).read_bytes() == CONTENT
    assert server.asked == ["", "bytes=30000-"]


def test_file_of_another_checksum_is_not_kept(server, cache):
    with pytest.raises(PicanetError, match=f"^{server.url} is not the expected file"):
        fetch(server, sha256="0" * 64)
    assert kept(cache) == []
    # Nor the beginning of another one.
    part_of(cache, server).write_bytes(b"other" * 1000)
    with pytest.raises(PicanetError, match="The download was discarded"):
        fetch(server)
    assert kept(cache) == []
    assert fetch(server).read_bytes() == CONTENT


def test_longer_file_is_rejected(server, cache):
    with pytest.raises(PicanetError, match="its SHA-256 differs"):
        fetch(server, size=90_000)
    assert kept(cache) == []


def test_oversized_partial_file_is_dropped(server, cache):
    cache.mkdir(parents=True)
    part_of(cache, server).write_bytes(CONTENT + b"more")
    assert fetch(server).read_bytes() == CONTENT
    assert server.asked == [""] and kept(cache) == ["file.bin"]


def test_complete_partial_file_needs_no_request(server, cache):
    cache.mkdir(parents=True)
    part_of(cache, server).write_bytes(CONTENT)
    assert fetch(server).read_bytes() == CONTENT
    assert server.asked == [] and kept(cache) == ["file.bin"]


def test_partial_file_is_kept_while_the_server_refuses(server, cache):
    cache.mkdir(parents=True)
    part_of(cache, server).write_bytes(CONTENT[:30_000])
    for status, reason in ((404, "Not Found"), (503, "Service Unavailable")):
        server.status = status
        with pytest.raises(PicanetError) as raised:
            fetch(server)
        assert str(raised.value) == f"Cannot download {server.url}: {reason}"
    server.status = None
    assert fetch(server).read_bytes() == CONTENT
    assert server.sent == [70_000]


def test_unreachable_server_is_reported():
    with serving(Served(CONTENT)) as served:
        pass
    with pytest.raises(PicanetError) as raised:
        fetch(served)
    assert str(raised.value) == (
        f"Cannot download {served.url}: [Errno 111] Connection refused"
    )


@pytest.mark.parametrize("url", ["nowhere", "http://[", "http://127.0.0.1:x/a b"])
def test_invalid_urls_are_reported(url):
    with pytest.raises(PicanetError) as raised:
        download(url, "0" * 64, 10, "file.bin")
    assert str(raised.value).startswith(f"Cannot download {url}: ")
    assert "\n" not in str(raised.value)


def test_uncreatable_cache_is_reported(server, tmp_path):
    (tmp_path / "keras").write_text("a file")
    with pytest.raises(PicanetError, match="Cannot download .* to .*: Not a directory"):
        fetch(server)
    assert server.asked == []


def test_full_disk_is_reported(server, cache, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(PicanetError, match=f"to {cache}/file.bin: No space left on"):
        fetch(server)
    assert kept(cache) == [part_of(cache, server).name]


CODE = """
import sys
from absl import logging
from picanet_tf.presets.download import download
logging.set_verbosity("info")
print(download(sys.argv[1], sys.argv[2], int(sys.argv[3]), "file.bin"))
"""


def start(served):
    return subprocess.Popen(
        [sys.executable, "-c", CODE, served.url, served.sha256]
        + [str(len(served.content))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ctrl_c_keeps_the_partial_file(cache):
    with serving(Served(CONTENT * 8, pause=0.05)) as server:
        run = start(server)
        part = part_of(cache, server)
        wait_for(lambda: part.exists() and part.stat().st_size)  # Its first block.
        run.send_signal(signal.SIGINT)
        errors = run.communicate(timeout=30)[1]
        assert "KeyboardInterrupt" in errors and run.returncode
        server.pause = 0.0
        begun = part.stat().st_size
        assert 0 < begun < len(server.content)
        assert fetch(server).read_bytes() == server.content
        assert server.sent[1:] == [len(server.content) - begun]
    assert kept(cache) == ["file.bin"]


@pytest.mark.parametrize("begun", [0, 30_000])
def test_concurrent_processes_download_once(server, cache, begun):
    """As of several jobs that are started at once: one downloads, the others wait."""
    server.pause = 0.02
    cache.mkdir(parents=True)
    if begun:
        part_of(cache, server).write_bytes(CONTENT[:begun])
    runs = [start(server) for _ in range(3)]
    for run in runs:
        out, errors = run.communicate(timeout=60)
        assert run.returncode == 0, errors
        assert out == f"{cache}/file.bin\n"
    assert (cache / "file.bin").read_bytes() == CONTENT
    assert server.sent == [len(CONTENT) - begun]
    assert kept(cache) == ["file.bin"]


def test_waiting_process_resumes_after_the_first_is_killed(server, cache):
    server.pause = 0.1
    first = start(server)
    wait_for(lambda: server.sent and server.sent[0] >= 20_000)
    server.pause = 5.0  # So that the first does not end before the second waits.
    second = start(server)
    line = second.stderr.readline()
    assert "Waiting for another process to download file.bin" in line
    first.kill()
    first.communicate()
    server.pause = 0.0
    out, errors = second.communicate(timeout=30)
    assert second.returncode == 0, errors
    assert Path(out.strip()).read_bytes() == CONTENT
