"""What surrounds every request: who may ask, and that an answer reaches who asked."""

from __future__ import annotations

import asyncio

import anyio
from absl import logging
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from picanet_tf.serving.service.hosts import HostPolicy


def refusal(status: int, reason: str, headers=None) -> JSONResponse:
    """An error as the service tells it: `{"error": one line}`."""
    return JSONResponse({"error": reason}, status, headers)


_POLICY_VIOLATION = 1008  # of a WebSocket's close (RFC 6455, Sec. 7.4.1)


class HostGuard:
    """Answers 421 to a Host, 403 to an Origin that `policy` does not know.

    A WebSocket of theirs is closed before it opens.
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
        host = ", ".join(headers.getlist("host"))  # of several, none is good
        origin = headers.get("origin")
        own_port = (scope.get("server") or (None, None))[1]
        if not self._policy.answers_to(host, own_port):
            return refusal(
                421,
                f"the service does not answer to Host {host!r}; `allowed_hosts` names "
                "those that it does",
            )
        if origin is not None and not self._policy.accepts(origin, host, own_port):
            return refusal(
                403,
                f"pages of {origin!r} may not use the service; `allowed_origins` names "
                "those that may",
            )
        return None


class WholeBody:
    """Lets a body come to its end, unread, after an answer that did not wait for it.

    A connection that is closed on arriving bytes is reset, and its answer may be lost:
    a client that is still sending would see a broken pipe in place of its 413.

    Also turns the cancelling of a request, as the server does when it stops, into 503.

    Args:
        seconds: that the rest of a body may take; then the connection is closed.
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
                answer = refusal(503, "the service stops", {"Connection": "close"})
                await answer(scope, receive, send)
            else:
                logging.warning("An answer was cut off: the service stops")


class _Exchange:
    """One request and its answer."""

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
        if not message.get("more_body", False):  # A disconnection is an end, too.
            self._whole = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if message["status"] == 408:  # It has been waited for long enough.
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
