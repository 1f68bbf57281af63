"""A static server, and the machine's own Chromium, which Playwright drives."""

from __future__ import annotations

import contextlib
import functools
import http.server
import shutil
import threading
import time
from collections.abc import Iterator, Set
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# As root, without a GPU, and without requests of the browser's own.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update"),
    "--disable-sync",
)
ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}


class _Handler(http.server.SimpleHTTPRequestHandler):
    headers_sent: dict[str, str] = {}  # noqa: RUF012
    late: Set[str] = frozenset()
    broken: Set[str] = frozenset()
    extensions_map = {  # noqa: RUF012  Some systems know neither.
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def do_GET(self):
        if self.path in self.late:
            time.sleep(5)
        if self.path in self.broken:
            self.send_error(503)
        else:
            super().do_GET()

    def end_headers(self):
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(
    folder: Path,
    isolated: bool = True,
    headers: dict[str, str] | None = None,
    late: Set[str] = frozenset(),
    broken: Set[str] = frozenset(),
) -> Iterator[str]:
    """Serves a folder as any static host does; yields its URL.

    `isolated`: with the headers that allow threads; `headers`: others; `late`: the
    paths that take five seconds; `broken`: those that are answered by an error.
    """
    sent = {**(ISOLATION if isolated else {}), **(headers or {})}
    fields = {"headers_sent": sent, "late": late, "broken": broken}
    handler = type("Handler", (_Handler,), fields)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def copy_of(folder: Path, target: Path) -> Path:
    """Links, so that it takes no room."""
    for path in folder.rglob("*"):
        if path.is_file():
            copied = target / path.relative_to(folder)
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.hardlink_to(path)
    return target
