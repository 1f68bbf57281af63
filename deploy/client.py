"""The base class of TF Serving clients. Imports no TensorFlow."""

from __future__ import annotations

import abc
import re
from collections.abc import Mapping
from typing import NamedTuple

# The signature `image_bytes`, see picanet_tf/serving/saved_model.py.
SIGNATURE, INPUT, OUTPUT = "image_bytes", "image_bytes", "saliency_png_bytes"
_MAX_LENGTH = 300  # characters of an error message


class Refused(Exception):
    """The server rejected the request. Retrying would not help."""


class NoAnswer(Exception):
    """The server did not respond.

    Args:
        message: the reason, without the server's name.
        retry: whether a retry may help, because the server was unavailable.
    """

    def __init__(self, message: str, retry: bool):
        super().__init__(message)
        self.retry = retry


class ModelInfo(NamedTuple):
    """Metadata of a served model.

    Attributes:
        version: served version.
        signatures: {name: (input names, output names)}.
    """

    version: str
    signatures: Mapping[str, tuple[set[str], set[str]]]


class Client(abc.ABC):
    """A thread-safe client for one model of one server.

    Args:
        server: address of the server.
        model: name of the model.
        version: version of the model; None: the highest one.
        label: version label, instead of `version`.
        signature: name of the signature.
        timeout: seconds to wait for a response.

    Raises:
        PicanetError: if `server` is not a valid address or a package is missing.

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
        """Requests the model's metadata.

        Raises:
            Refused: if the server rejects the request.
            NoAnswer: if the server does not respond.
        """

    @abc.abstractmethod
    def predict(self, image: bytes) -> bytes:
        """Sends an encoded image; returns its map as a PNG.

        Raises:
            Refused: if the server rejects the request.
            NoAnswer: if the server does not respond.
        """

    def _timeout_error(self) -> NoAnswer:
        return NoAnswer(f"no answer within {self._timeout:g} s", retry=False)


def shorten_message(message: str) -> str:
    """Shortens a TensorFlow error to one readable line.

    Omits graph nodes and the image's index in its batch, which is meaningless if the
    server merges requests of several clients.
    """
    line = message.strip().splitlines()[0] if message.strip() else "no reason given"
    line = re.sub(r"\{\{function_node [^}]*\}\}\s*", "", line)
    line = line.split(" [[{{node")[0].strip()
    if line.startswith("assertion failed: "):
        line = line.removeprefix("assertion failed: ")
        line = re.sub(r"\s*\[in image number\] \[\d+\]", "", line)
        line = re.sub(r"\[([^][]*)\]", r"\1", line)
    return line if len(line) <= _MAX_LENGTH else line[:_MAX_LENGTH] + " ..."
