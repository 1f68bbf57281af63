"""A temporary site, which exists while `picanet serve` runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from absl import logging

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.signals import sigterm_unwinds
from picanet_tf.serving.web.network import read_attention, read_network
from picanet_tf.serving.web.runtime import find_runtime
from picanet_tf.serving.web.site import write_site


@contextmanager
def temporary_site(
    network: Path, name: str, card: Path | None = None
) -> Iterator[Path | None]:
    """Writes a site to a temporary folder, which is removed on exit.

    Args:
        network: the LiteRT file; the site shows the attention if the file with it is in
            the same folder.
        name, card: see `write_site`.

    Yields:
        The folder; None, after a warning with the reason, if it cannot be written.
    """
    with ExitStack() as stack:
        check_sigterm = stack.enter_context(sigterm_unwinds())
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            _write(folder, network, name, card)
        except (PicanetError, OSError) as error:
            logging.warning("No page at /: %s", error)
            folder = None
        check_sigterm()
        yield folder


def _write(folder: Path, network: Path, name: str, card: Path | None) -> None:
    runtime = find_runtime()
    if runtime is None:
        raise PicanetError("its runtime is not installed; picanet web fetches it once")
    content = read_network(network)
    attention = read_attention(network, content)
    write_site(folder, runtime, name, content, attention, card)
