"""The page of `picanet web` at /. It runs in the browser and sends no photo."""

from __future__ import annotations

import functools
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from picanet_tf.serving.web import policy_of

# With these, browsers may run the network on several threads.
_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "X-Content-Type-Options": "nosniff",
}
# Browsers check all files for new versions, except networks, named after their hash.
_FOR_EVER = "public, max-age=31536000, immutable"


def wants_page(request: Request) -> bool:
    """Returns whether a browser asks for a page; others get text."""
    return "text/html" in request.headers.get("accept", "")


def page_of(folder: Path) -> Response:
    """Returns the page itself."""
    headers = {**_headers(folder), "Cache-Control": "no-cache", "Vary": "Accept"}
    return FileResponse(folder / "index.html", headers=headers)


def routes_of(folder: Path) -> list[Route]:
    """Returns the routes of the files that the page loads; no other path exists."""
    files = _Files(directory=folder)
    names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return [Route(f"/{name.as_posix()}", files, methods=["GET"]) for name in names]


@functools.cache
def _headers(folder: Path) -> dict[str, str]:
    # Workers take their policy from here, not from the page that starts them.
    return {**_HEADERS, "Content-Security-Policy": policy_of(folder)}


class _Files(StaticFiles):
    def file_response(self, full_path, *arguments, **options) -> Response:
        answer = super().file_response(full_path, *arguments, **options)
        kept = str(full_path).endswith(".tflite")
        answer.headers.update(_headers(self.directory))
        answer.headers["Cache-Control"] = _FOR_EVER if kept else "no-cache"
        return answer
