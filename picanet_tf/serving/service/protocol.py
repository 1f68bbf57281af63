"""uvicorn's HTTP/1.1 protocol with client timeouts."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


def timed_protocol(seconds: float) -> type[asyncio.Protocol]:
    """Returns a protocol class for uvicorn that times out slow clients.

    uvicorn itself waits forever for request headers and for clients that do not read
    the response.

    Args:
        seconds: time allowed from connecting, or from the first byte of a later
            request, to the end of the headers, and for the client to read the next
            chunk of the response. Then the connection is aborted. (The application
            limits the time for the body.)
    """

    class TimedProtocol(H11Protocol):
        _heading: asyncio.TimerHandle | None = None
        _writing: asyncio.TimerHandle | None = None

        def connection_made(self, transport) -> None:
            super().connection_made(transport)
            transport.set_write_buffer_limits(high=0)  # Any unread byte is timed.
            self._heading = self._abort_later()

        def data_received(self, data: bytes) -> None:
            if self._between_requests and self._heading is None:
                self._heading = self._abort_later()
            super().data_received(data)
            if not self._between_requests:
                self._heading = _cancel(self._heading)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._writing = self._writing or self._abort_later()

        def resume_writing(self) -> None:
            self._writing = _cancel(self._writing)
            super().resume_writing()

        def connection_lost(self, exc: Exception | None) -> None:
            self._heading = _cancel(self._heading)
            self._writing = _cancel(self._writing)
            super().connection_lost(exc)

        @property
        def _between_requests(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _abort_later(self) -> asyncio.TimerHandle:
            return self.loop.call_later(seconds, self.transport.abort)

    return TimedProtocol


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
