"""Requests saliency maps from TF Serving over REST.

    python deploy/client_rest.py --input photo.jpg --output out/
    python deploy/client_rest.py --input photos/ --output out/ --label stable --resume
    python deploy/client_rest.py --server http://host:8501 'photos/**/*.jpg' --output o

Results are 8-bit PNGs at the original image sizes, in the same sub-folders. Failed
images are reported, and the exit code is then 1. Requires `requests`, but not
TensorFlow. REST cannot select outputs: the response also contains the map as text,
50,176 numbers at 224 pixels, which client_grpc.py avoids.
"""

from __future__ import annotations

import base64
import sys
import threading
from pathlib import Path
from urllib.parse import quote

import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deploy import common
from deploy.client import (
    INPUT,
    OUTPUT,
    Client,
    ModelInfo,
    NoAnswer,
    Refused,
    shorten_message,
)
from picanet_tf.core import cli
from picanet_tf.core.errors import PicanetError

UNAVAILABLE, GATEWAY_TIMEOUT = 503, 504


class RestClient(Client):
    """REST client; `server` is a URL, such as `http://localhost:8501`."""

    def _connect(self, model: str, version: int | None, label: str | None) -> None:
        if not self.server.startswith(("http://", "https://")):
            raise PicanetError(
                "`server` must be a URL such as http://localhost:8501. "
                f"Received: {self.server or 'nothing'}"
            )
        self.server = self.server.rstrip("/")
        self._url = f"{self.server}/v1/models/{quote(model, safe='')}"
        if version is not None:
            self._url += f"/versions/{version}"
        elif label:
            self._url += f"/labels/{quote(label, safe='')}"
        # One session per thread, since sessions are not documented as thread-safe.
        self._threads = threading.local()

    def describe(self) -> ModelInfo:
        answer = self._call("GET", f"{self._url}/metadata")
        try:
            signatures = answer["metadata"]["signature_def"]["signature_def"]
            return ModelInfo(
                answer["model_spec"]["version"],
                {
                    name: (set(signature["inputs"]), set(signature["outputs"]))
                    for name, signature in signatures.items()
                    if "inputs" in signature and "outputs" in signature
                },
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise Refused("its metadata is not that of TF Serving") from error

    def predict(self, image: bytes) -> bytes:
        encoded = base64.b64encode(image).decode()
        body = {
            "signature_name": self._signature,
            "instances": [{INPUT: {"b64": encoded}}],
        }
        answer = self._call("POST", f"{self._url}:predict", body)
        try:
            (prediction,) = answer["predictions"]
            # TF Serving omits the name of a single output.
            encoded = prediction.get(OUTPUT, prediction)["b64"]
            return base64.b64decode(encoded, validate=True)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Refused(f"the answer has no {OUTPUT} in base64") from error

    def _call(self, method: str, url: str, body=None):
        if not hasattr(self._threads, "session"):
            self._threads.session = requests.Session()
        try:
            response = self._threads.session.request(
                method, url, json=body, timeout=self._timeout
            )
        except requests.Timeout as error:
            raise self._timeout_error() from error
        except (
            requests.ConnectionError,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            raise NoAnswer(_find_reason(error), retry=True) from error
        except requests.RequestException as error:
            raise Refused(shorten_message(str(error))) from error
        if response.status_code == requests.codes.ok:
            try:
                return response.json()
            except ValueError as error:
                raise Refused("the answer is not JSON") from error
        message = _read_error(response)
        if response.status_code in (UNAVAILABLE, GATEWAY_TIMEOUT):
            raise NoAnswer(message, retry=response.status_code == UNAVAILABLE)
        raise Refused(message)


def _read_error(response: requests.Response) -> str:
    try:
        return shorten_message(response.json()["error"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"HTTP {response.status_code} {response.reason}"


def _find_reason(error: BaseException | None) -> str:
    """Returns the operating system's reason for a lost connection."""
    found = "no connection"
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            found = error.strerror
        error = error.__cause__ or error.__context__
    return found


def main(words: list[str]) -> int:
    return common.run(RestClient, words)


if __name__ == "__main__":
    common.define_flags("http://localhost:8501", "URL of the server's REST endpoint.")
    cli.run(main, positional="[INPUT ...]")
