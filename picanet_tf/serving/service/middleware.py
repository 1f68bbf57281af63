"""ASGI middleware: checks Host and Origin, drains bodies before responses end."""

from __future__ import annotations

import asyncio

import anyio
from absl import logging
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from picanet_tf.serving.service.hosts import HostPolicy


def refusal(status: int, reason: str, headers=None) -> JSONResponse:
    """Returns an error response, `{"error": "one line"}`.

    Clients give parameters in a URL: their names lose the backticks.
    """
    return JSONResponse({"error": reason.replace("`", "")}, status, headers)


_POLICY_VIOLATION = 1008  # WebSocket close code (RFC 6455, Sec. 7.4.1)


class HostGuard:
    """Rejects requests by `policy`: 421 for the Host, 403 for the Origin.

    WebSockets are closed before they are opened.
    """

    def __init__(self, app: ASGIApp, policy: HostPolicy):
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = None
        if scope["type"] in ("http", "websocket"):
            refused = self._refusal(scope)
        if refused and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            await (refused or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        host = ", ".join(headers.getlist("host"))  # several are never accepted
        origin = headers.get("origin")
        own_port = (scope.get("server") or (None, None))[1]
        if not self._policy.answers_to(host, own_port):
            return refusal(
                421,
                f"Host {host!r} is not allowed; add it to `allowed_hosts`",
            )
        if origin is not None and not self._policy.accepts(origin, host, own_port):
            return refusal(
                403,
                f"Origin {origin!r} is not allowed; add it to `allowed_origins`",
            )
        return None


class WholeBody:
    """Drains the rest of a request body before an early response is completed.

    Closing a connection while bytes arrive resets it, and the response may be lost: a
    client that is still sending would see a broken pipe instead of its 413.

    Also converts the cancellation of a request, when the server stops, to a 503.

    Args:
        seconds: time allowed for the rest of a body; then the connection is closed.
    """

    def __init__(self, app: ASGIApp, seconds: float):
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._seconds)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            if not exchange.started:
                answer = refusal(
                    503, "the service is stopping", {"Connection": "close"}
                )
                await answer(scope, receive, send)
            else:
                logging.warning("A response was cut off: the service is stopping")


class _Exchange:
    """One request and its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, seconds: float):
        headers = Headers(scope=scope)
        self._receive, self._send, self._seconds = receive, send, seconds
        self._whole = (
            int(headers.get("content-length", 0)) == 0
            and "transfer-encoding" not in headers
        )
        self.started = False

    async def receive(self) -> Message:
        message = await self._receive()
        if not message.get("more_body", False):  # also true for a disconnect
            self._whole = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if message["status"] == 408:  # The body has timed out already.
                self._whole = True
            if not self._whole:
                MutableHeaders(scope=message)["Connection"] = "close"
        elif not message.get("more_body", False) and not self._whole:
            await self._send({**message, "more_body": True})
            with anyio.move_on_after(self._seconds):
                while not self._whole:
                    await self.receive()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)
