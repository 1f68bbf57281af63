"""A local web server of one file that can break off or refuse answers."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Served:
    """What is served, how, and what was asked for.

    Attributes:
        content: the file.
        ranges: whether `Range` is understood.
        break_off_after: bytes after which an answer ends; None: it never does.
        status: an error to answer with; None serves the file.
        pause: seconds between blocks of 10,000 bytes.
        chunked: sent in chunks, without a length.
        asked: the `Range` of each request, "" without one.
        sent: bytes of each answer.
    """

    content: bytes
    ranges: bool = True
    break_off_after: int | None = None
    status: int | None = None
    pause: float = 0.0
    chunked: bool = False
    url: str = ""
    asked: list[str] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@contextlib.contextmanager
def serving(served: Served) -> Iterator[Served]:
    """While entered, the file is at `served.url`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            _answer(self, served)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/file.bin"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(handler, served: Served) -> None:
    wanted = handler.headers.get("Range", "")
    served.asked.append(wanted)
    if served.status:
        handler.send_error(served.status)
        return
    content = served.content
    if wanted and served.ranges:
        first = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if first >= len(content):
            handler.send_error(416)
            return
        whole, content = len(content), content[first:]
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {first}-{whole - 1}/{whole}")
    else:
        handler.send_response(200)
    if served.chunked:
        handler.protocol_version = "HTTP/1.1"
        handler.send_header("Transfer-Encoding", "chunked")
    else:
        handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    number = len(served.sent)
    served.sent.append(0)
    with contextlib.suppress(ConnectionError):
        for block in _blocks(content[: served.break_off_after]):
            sized = b"%x\r\n%b\r\n" % (len(block), block)
            handler.wfile.write(sized if served.chunked else block)
            served.sent[number] += len(block)
            time.sleep(served.pause)


def _blocks(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), 10_000):
        yield content[start : start + 10_000]
