"""uvicorn's HTTP/1.1 with limits on how long a client may take."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


def timed_protocol(seconds: float) -> type[asyncio.Protocol]:
    """The protocol class to give to uvicorn.

    uvicorn waits forever for the first headers, for headers that dribble in, and for a
    client that does not take its answer.

    Args:
        seconds: from connecting, or from a later request's first byte, to the end of
            the headers; and that an answer's next piece may wait to be taken. Then the
            connection is cut. (The body's time is the application's to limit.)
    """

    class TimedProtocol(H11Protocol):
        _heading: asyncio.TimerHandle | None = None
        _writing: asyncio.TimerHandle | None = None

        def connection_made(self, transport) -> None:
            super().connection_made(transport)
            self._heading = self._abort_later()

        def data_received(self, data: bytes) -> None:
            if self._between_requests and self._heading is None:
                self._heading = self._abort_later()
            super().data_received(data)
            if not self._between_requests:
                self._heading = _cancelled(self._heading)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._writing = self._writing or self._abort_later()

        def resume_writing(self) -> None:
            self._writing = _cancelled(self._writing)
            super().resume_writing()

        def connection_lost(self, exc: Exception | None) -> None:
            self._heading = _cancelled(self._heading)
            self._writing = _cancelled(self._writing)
            super().connection_lost(exc)

        @property
        def _between_requests(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _abort_later(self) -> asyncio.TimerHandle:
            return self.loop.call_later(seconds, self.transport.abort)

    return TimedProtocol


def _cancelled(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
