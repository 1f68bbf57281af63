"""Serves the page on localhost only."""

from __future__ import annotations

import importlib.metadata
import logging as standard_logging
import os
import re
import socket
import sys
import tempfile
import time
from pathlib import Path

from absl import logging

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.signals import StopRequest
from picanet_tf.serving.page.answers import Page
from picanet_tf.serving.service.hosts import HostPolicy

HOST = "127.0.0.1"  # localhost only: the page has no authentication
PACKAGE = "gradio~=6.31"
_OLDEST, _BEFORE = (6, 31), (7, 0)

_LARGEST_UPLOAD = "200mb"
_SESSIONS = 8  # browser tabs whose state is kept


def check(port: int) -> None:
    """Checks that the page can be served, before a model is loaded.

    Raises:
        PicanetError: if gradio is missing or has the wrong version, or the port is in
            use.
    """
    install = f"pip install '{PACKAGE}'"
    try:
        version = importlib.metadata.version("gradio")
    except importlib.metadata.PackageNotFoundError:
        raise PicanetError(
            f"`serve` requires the package gradio, which is not installed: {install}"
        ) from None
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if not _OLDEST <= numbers < _BEFORE:
        raise PicanetError(f"`serve` requires {PACKAGE}, found {version}: {install}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PicanetError(
                f"`port` {port} of {HOST} cannot be used: {error.strerror}. Give "
                "another one"
            ) from error


def serve(page: Page, port: int, title: str) -> None:
    """Serves the page on localhost until Ctrl-C.

    Exits the process with 0 if the attention is still being loaded by then.

    Makes no internet requests and rejects requests of other sites (`HostGuard`).
    Uploads and results are kept in a temporary folder, which is removed at the end.

    Raises:
        PicanetError: see `check`; also, for tasks other than saliency, if the attention
            cannot be loaded.
    """
    check(port)
    with (
        tempfile.TemporaryDirectory(prefix="picanet_page_") as folder,
        StopRequest() as stop,
    ):
        _set_environment(folder)
        if not page.predicts_maps:
            page.start()
        from starlette.middleware import Middleware

        from picanet_tf.serving.page.layout import CSS, build, theme
        from picanet_tf.serving.service.middleware import HostGuard

        blocks = build(page, title, Path(folder))
        try:
            blocks.launch(
                server_name=HOST,
                server_port=port,
                share=False,
                quiet=True,
                inline=False,
                prevent_thread_lock=True,
                show_error=True,
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                ssr_mode=False,
                pwa=False,
                mcp_server=False,
                max_file_size=_LARGEST_UPLOAD,
                state_session_capacity=_SESSIONS,
                theme=theme(),
                css=CSS,
                # Runs after gradio's own middleware, which only answers preflights.
                app_kwargs={"middleware": [Middleware(HostGuard, HostPolicy())]},
            )
        except OSError as error:  # The port was taken after the check.
            raise PicanetError(f"`port` {port} cannot be used: {error}") from error
        try:
            page.start()  # Not earlier: importing TensorFlow would delay the page.
            logging.info("http://%s:%d  press Ctrl-C to stop", HOST, port)
            while stop.received is None:
                time.sleep(0.1)
            logging.info("Page stopped")
        finally:
            blocks.close(verbose=False)
    if page.is_loading:
        # At exit Python kills the thread; TensorFlow, if importing or running in it,
        # then aborts the process. All cleanup is done by now.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _set_environment(folder: str) -> None:
    """Sets gradio's environment variables for this process."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = folder
    # gradio checks its own server, which must not go through a proxy.
    for name in ("no_proxy", "NO_PROXY"):
        hosts = filter(None, [os.environ.get(name), HOST])
        os.environ[name] = ",".join(hosts)
    standard_logging.getLogger("httpx").setLevel(standard_logging.WARNING)
