"""Serves the page to the browsers of this machine, and to no one else."""

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

HOST = "127.0.0.1"  # This machine only: the page has no password.
PACKAGE = "gradio~=6.31"
_OLDEST, _BEFORE = (6, 31), (7, 0)

_LARGEST_UPLOAD = "200mb"
_SESSIONS = 8  # browser tabs whose photo is remembered


def check(port: int) -> None:
    """That the page could be served; quick, so that one is not kept waiting.

    Raises:
        PicanetError: gradio is missing or of another version, or the port is taken.
    """
    install = f"pip install '{PACKAGE}'"
    try:
        version = importlib.metadata.version("gradio")
    except importlib.metadata.PackageNotFoundError:
        raise PicanetError(
            f"`serve` wants the package gradio, which is not installed: {install}"
        ) from None
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if not _OLDEST <= numbers < _BEFORE:
        raise PicanetError(f"`serve` wants {PACKAGE}, found {version}: {install}")
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
    """Serves the page on this machine, until Ctrl-C.

    Ends the process, with 0, if the attention is still being loaded by then.

    Asks nothing of the internet, and answers no page of another site (`HostGuard`).
    Uploads and results are kept in a temporary folder, which is removed in the end.

    Raises:
        PicanetError: as of `check`; or there is no attention and, as of other tasks
            than saliency, no map without it.
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
                # gradio's own are in front, which answer preflights; those ask nothing.
                app_kwargs={"middleware": [Middleware(HostGuard, HostPolicy())]},
            )
        except OSError as error:  # Taken between the check and now.
            raise PicanetError(f"`port` {port} cannot be used: {error}") from error
        try:
            page.start()  # Not before: TensorFlow would delay the page.
            logging.info("http://%s:%d  Ctrl-C ends it", HOST, port)
            while stop.received is None:
                time.sleep(0.1)
            logging.info("The page is closed")
        finally:
            blocks.close(verbose=False)
    if page.is_loading:
        # Python takes the thread away when it ends, and TensorFlow, amid its import or
        # a run, answers that by aborting the process. All is cleared away by now.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _set_environment(folder: str) -> None:
    """What gradio reads from there, for this process alone."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = folder
    # It asks its own server for a sign of life: not by way of a proxy.
    for name in ("no_proxy", "NO_PROXY"):
        hosts = filter(None, [os.environ.get(name), HOST])
        os.environ[name] = ",".join(hosts)
    standard_logging.getLogger("httpx").setLevel(standard_logging.WARNING)
