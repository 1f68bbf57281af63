"""Serves the application until Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import logging as standard_logging
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from absl import logging

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.signals import StopRequest
from picanet_tf.serving.service.hosts import HostPolicy, is_loopback
from picanet_tf.serving.service.limits import Limits

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette

    from picanet_tf.inference.litert import LiteRTModel

INSTALL = "pip install starlette uvicorn python-multipart"

_PACKAGES = ("starlette", "uvicorn", "python_multipart")
_GRACE = 8  # seconds to finish requests on shutdown; Docker kills after 10
_M_MMAP_THRESHOLD = -3  # from glibc's malloc.h
_CONNECTIONS = 512  # concurrent; the default limit of open files is 1024


def check(
    host: str,
    port: int,
    allowed_hosts: Iterable[str] = (),
    allowed_origins: Iterable[str] = (),
) -> None:
    """Checks that the service can be started, before a model is loaded.

    Args:
        host, port, allowed_hosts, allowed_origins: see `serve`.

    Raises:
        PicanetError: if a package is missing, the address cannot be used, or it is
            reachable from other machines and `allowed_hosts` is empty.
    """
    allowed_hosts = list(allowed_hosts)
    HostPolicy(allowed_hosts, allowed_origins)
    for name in _PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise PicanetError(
                f"The HTTP service requires the package {name.replace('_', '-')}, "
                f"which cannot be imported ({error}): {INSTALL}"
            ) from error
    if not is_loopback(host) and not allowed_hosts:
        raise PicanetError(
            f"`host` {host} is open to other machines: give the names by which they "
            "reach it, such as `allowed_hosts` example.com,192.0.2.7, or "
            "`allowed_hosts` '*' for any name (web pages can then reach it, too)"
        )
    _listen(host, port).close()


def serve(
    model: LiteRTModel,
    host: str = "127.0.0.1",
    port: int = 8080,
    limits: Limits | None = None,
    *,
    allowed_hosts: Iterable[str] = (),
    allowed_origins: Iterable[str] = (),
    site: Path | None = None,
) -> bool:
    """Serves a model over HTTP until Ctrl-C or SIGTERM.

    On shutdown, running requests have some seconds to finish; new requests, and those
    that take longer, get 503.

    Args:
        model: a model of the LiteRT engine.
        host: address to listen on; reachable from other machines unless it is a
            loopback address.
        port: port to listen on; 0 for any free one.
        limits: defaults to `Limits()`.
        allowed_hosts, allowed_origins: see `HostPolicy`.
        site: folder of `picanet web`, for browsers; None: no page.

    Returns:
        Whether requests are still computed, after the time that they had at the end.
        Python waits for their threads when the program exits.

    Raises:
        PicanetError: see `check`.
    """
    limits = limits or Limits()
    check(host, port, allowed_hosts, allowed_origins)
    _give_memory_back()
    from picanet_tf.serving.service.app import create_app

    app = create_app(
        model,
        limits,
        allowed_hosts=allowed_hosts,
        allowed_origins=allowed_origins,
        site=site,
    )
    model.predict(np.zeros((8, 8, 3), np.uint8))  # Warm-up: the first run is slower.
    with _listen(host, port) as listener, StopRequest() as stop:
        server = make_server(app, limits)
        name = f"[{host}]" if ":" in host else host
        logging.info(
            "http://%s:%d  %s; limits: %s; press Ctrl-C to stop",
            name,
            listener.getsockname()[1],
            model.path.stem,
            limits,
        )
        server.should_exit = stop.received is not None
        # uvicorn takes over the signals and re-raises them to `stop` at the end.
        server.run(sockets=[listener])
    logging.info("Service stopped")
    return app.state.jobs.running > 0


def make_server(app: Starlette, limits: Limits) -> uvicorn.Server:
    """Creates the server of an application; set `should_exit` to stop it."""
    import uvicorn

    from picanet_tf.serving.service.protocol import timed_protocol

    class Server(uvicorn.Server):
        async def shutdown(self, sockets=None) -> None:
            logging.info("Stopping; running requests have %d s to finish", _GRACE)
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        http=timed_protocol(limits.timeout),
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=logging.get_verbosity() >= logging.DEBUG,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE,
    )
    # Warnings are about broken clients; only errors indicate bugs.
    for name in ("uvicorn.error", "python_multipart"):
        standard_logging.getLogger(name).setLevel(standard_logging.ERROR)
    return Server(config)


def _give_memory_back() -> None:
    """Makes glibc return large arrays to the system when they are freed.

    By default it raises its mmap threshold up to 32 MiB and keeps freed memory in a
    heap per thread: with small photos the service grew to 230 MiB instead of 90 MiB, at
    the same speed.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)


def _listen(host: str, port: int) -> socket.socket:
    """Returns a listening socket; raises `PicanetError` if there can be none."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family)
    except UnicodeError as error:  # A part of the name is empty or too long.
        raise PicanetError(f"`host` {host} is not the name of a host") from error
    except OSError as error:
        raise PicanetError(f"`host` {host}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()  # Clients can connect and wait until the server runs.
    except OSError as error:
        listener.close()
        raise PicanetError(
            f"`port` {port} of {host} cannot be used: {error.strerror}. Give another "
            "one"
        ) from error
    return listener
