"""What a client of TF Serving is, in any protocol. Imports no TensorFlow."""

from __future__ import annotations

import abc
import re
from collections.abc import Mapping
from typing import NamedTuple

# Of the signature `image_bytes`, see picanet_tf/serving/saved_model.py.
SIGNATURE, INPUT, OUTPUT = "image_bytes", "image_bytes", "saliency_png_bytes"
_MAX_LENGTH = 300  # of a message


class Refused(Exception):
    """The server answered, but not with a map. Another try would end the same."""


class NoAnswer(Exception):
    """No answer came.

    Args:
        message: why, without the server's name.
        retry: whether another try may help, because the server was unavailable.
    """

    def __init__(self, message: str, retry: bool):
        super().__init__(message)
        self.retry = retry


class ModelInfo(NamedTuple):
    """What a server says about a model.

    Attributes:
        version: the one that answers.
        signatures: {name: (names of its inputs, names of its outputs)}.
    """

    version: str
    signatures: Mapping[str, tuple[set[str], set[str]]]


class Client(abc.ABC):
    """One model of one server; its methods may be called by several threads at once.

    Args:
        server: the server's address.
        model: its name.
        version: its version; None for the highest one.
        label: a label in place of the version.
        signature: its name.
        timeout: how long to wait for an answer, in seconds.

    Raises:
        PicanetError: `server` is not an address, or a package is missing.

    Attributes:
        server: the address, for messages.
    """

    def __init__(
        self,
        server: str,
        model: str,
        version: int | None = None,
        label: str | None = None,
        signature: str = SIGNATURE,
        timeout: float = 30,
    ):
        self.server = server
        self._signature = signature
        self._timeout = timeout
        self._connect(model, version, label)

    @abc.abstractmethod
    def _connect(self, model: str, version: int | None, label: str | None) -> None:
        """Prepares the requests; sends nothing."""

    @abc.abstractmethod
    def describe(self) -> ModelInfo:
        """Asks what the server says about the model.

        Raises:
            Refused, NoAnswer.
        """

    @abc.abstractmethod
    def predict(self, image: bytes) -> bytes:
        """Sends an encoded image; returns its map as a PNG.

        Raises:
            Refused, NoAnswer.
        """

    def _timeout_error(self) -> NoAnswer:
        return NoAnswer(f"no answer within {self._timeout:g} s", retry=False)


def shorten_message(message: str) -> str:
    """An error of TensorFlow's in one line for a user.

    Leaves out the nodes of the graph, and the image's number in its batch, which the
    server may have put together from several callers' images.
    """
    line = message.strip().splitlines()[0] if message.strip() else "no reason given"
    line = re.sub(r"\{\{function_node [^}]*\}\}\s*", "", line)
    line = line.split(" [[{{node")[0].strip()
    if line.startswith("assertion failed: "):
        line = line.removeprefix("assertion failed: ")
        line = re.sub(r"\s*\[in image number\] \[\d+\]", "", line)
        line = re.sub(r"\[([^][]*)\]", r"\1", line)
    return line if len(line) <= _MAX_LENGTH else line[:_MAX_LENGTH] + " ..."
