"""Serves the application, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import logging as standard_logging
import socket
from collections.abc import Iterable
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
_GRACE = 8  # seconds to finish in; Docker, for one, kills after 10
_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
_CONNECTIONS = 512  # at once; a process may have 1024 files by default


def check(
    host: str,
    port: int,
    allowed_hosts: Iterable[str] = (),
    allowed_origins: Iterable[str] = (),
) -> None:
    """That it could be served; quick, so that nobody waits for the model in vain.

    Args:
        host, port, allowed_hosts, allowed_origins: as of `serve`.

    Raises:
        PicanetError: a package is missing, the address cannot be used, or others can
            reach it and `allowed_hosts` does not say by which name.
    """
    allowed_hosts = list(allowed_hosts)
    HostPolicy(allowed_hosts, allowed_origins)
    for name in _PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise PicanetError(
                f"The HTTP service wants the package {name.replace('_', '-')}, which "
                f"cannot be imported ({error}): {INSTALL}"
            ) from error
    if not is_loopback(host) and not allowed_hosts:
        raise PicanetError(
            f"`host` {host} is open to other machines: say by which names they reach "
            "it, as `allowed_hosts` example.com,192.0.2.7, or `allowed_hosts` '*' for "
            "any name (then web pages can reach it, too)"
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
) -> None:
    """Serves a model over HTTP, until Ctrl-C or SIGTERM.

    What is under way then is finished, for some seconds; later requests, and those that
    take longer, are refused with 503.

    Args:
        model: of the LiteRT engine.
        host: to listen at; other machines reach it unless it is a loopback address.
        port: 0 for any free one.
        limits: `Limits()` by default.
        allowed_hosts, allowed_origins: as of `HostPolicy`.

    Raises:
        PicanetError: as of `check`.
    """
    limits = limits or Limits()
    check(host, port, allowed_hosts, allowed_origins)
    _give_memory_back()
    from picanet_tf.serving.service.app import create_app

    app = create_app(
        model, limits, allowed_hosts=allowed_hosts, allowed_origins=allowed_origins
    )
    model.predict(np.zeros((8, 8, 3), np.uint8))  # The first time takes longer.
    with _listen(host, port) as listener, StopRequest() as stop:
        server = make_server(app, limits)
        name = f"[{host}]" if ":" in host else host
        logging.info(
            "http://%s:%d  %s; at most %s; Ctrl-C ends it",
            name,
            listener.getsockname()[1],
            model.path.stem,
            limits,
        )
        server.should_exit = stop.received is not None
        # It takes the signals over, and hands them on to `stop` when it has finished.
        server.run(sockets=[listener])
    logging.info("The service has ended")


def make_server(app: Starlette, limits: Limits) -> uvicorn.Server:
    """The server of an application, not yet running; `should_exit` ends it."""
    import uvicorn

    from picanet_tf.serving.service.protocol import timed_protocol

    class Server(uvicorn.Server):
        async def shutdown(self, sockets=None) -> None:
            logging.info("Stopping; what is under way has %d s", _GRACE)
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
    # Errors are bugs of ours; what they warn of are broken clients, which is no news.
    for name in ("uvicorn.error", "python_multipart"):
        standard_logging.getLogger(name).setLevel(standard_logging.ERROR)
    return Server(config)


def _give_memory_back() -> None:
    """Lets large arrays go back to the system when they are freed, where glibc is.

    By itself it soon keeps all up to 32 MiB for later, in a heap for each thread: a
    service of small photos grew to 230 MiB in place of 90, at the same speed.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family)
    except OSError as error:
        raise PicanetError(f"`host` {host}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()  # Who connects from now on waits for the server to run.
    except OSError as error:
        listener.close()
        raise PicanetError(
            f"`port` {port} of {host} cannot be used: {error.strerror}. Give another "
            "one"
        ) from error
    return listener
