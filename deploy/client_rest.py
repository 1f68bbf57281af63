"""Saliency maps from TF Serving, over REST.

    python deploy/client_rest.py --input photo.jpg --output out/
    python deploy/client_rest.py --input photos/ --output out/ --label stable --resume
    python deploy/client_rest.py --server http://host:8501 'photos/**/*.jpg' --output o

Results are 8-bit PNGs of their image's own size, in the same sub-folders. What fails is
named; the exit code is then 1. Needs `requests`, not TensorFlow. REST has no way to ask
for the PNG alone: the map comes along as text, 50,176 numbers at 224 pixels, which
client_grpc.py spares.
"""

from __future__ import annotations

import base64
import sys
import threading
from pathlib import Path
from urllib.parse import quote

import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_pipeline import cli
from data_pipeline.cli import UserError
from deploy import common
from deploy.common import INPUT, OUTPUT, Served
from deploy.pool import NoAnswer, Refused

UNAVAILABLE, GATEWAY_TIMEOUT = 503, 504


class RestClient:
    """One model of one server.

    Args:
        server: as `http://localhost:8501`.
        model: its name.
        version: its version; None for the highest one.
        label: instead of the version.
        signature: its name.
        timeout: seconds.
    """

    def __init__(
        self,
        server: str,
        model: str,
        version: int | None = None,
        label: str | None = None,
        signature: str = "image_bytes",
        timeout: float = 30,
    ):
        if not server.startswith(("http://", "https://")):
            raise UserError(
                "--server must be a URL as http://localhost:8501. "
                f"Received: {server or 'nothing'}"
            )
        self.name = server.rstrip("/")
        self._url = f"{self.name}/v1/models/{quote(model, safe='')}"
        if version is not None:
            self._url += f"/versions/{version}"
        elif label:
            self._url += f"/labels/{quote(label, safe='')}"
        self._signature = signature
        self._timeout = timeout
        self._threads = threading.local()

    def describe(self) -> Served:
        answer = self._ask("GET", f"{self._url}/metadata")
        try:
            signatures = answer["metadata"]["signature_def"]["signature_def"]
            return Served(
                answer["model_spec"]["version"],
                {
                    name: (set(signature["inputs"]), set(signature["outputs"]))
                    for name, signature in signatures.items()
                    if "inputs" in signature and "outputs" in signature
                },
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise Refused("its metadata are not those of TF Serving") from error

    def predict(self, image: bytes) -> bytes:
        encoded = base64.b64encode(image).decode()
        answer = self._ask(
            "POST",
            f"{self._url}:predict",
            {
                "signature_name": self._signature,
                "instances": [{INPUT: {"b64": encoded}}],
            },
        )
        try:
            (prediction,) = answer["predictions"]
            # Of a single output TF Serving leaves the name out.
            encoded = prediction.get(OUTPUT, prediction)["b64"]
            return base64.b64decode(encoded, validate=True)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Refused(f"the answer has no {OUTPUT} in base64") from error

    def _ask(self, method: str, url: str, body=None):
        if not hasattr(self._threads, "session"):
            # Not documented to be safe for several threads.
            self._threads.session = requests.Session()
        try:
            response = self._threads.session.request(
                method, url, json=body, timeout=self._timeout
            )
        except requests.Timeout as error:
            message = f"no answer within {self._timeout:g} s"
            raise NoAnswer(message, again=False) from error
        except (
            requests.ConnectionError,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            raise NoAnswer(_reason(error), again=True) from error
        except requests.RequestException as error:
            raise Refused(common.first_line(str(error))) from error
        if response.status_code == requests.codes.ok:
            try:
                return response.json()
            except ValueError as error:
                raise Refused("the answer is not JSON") from error
        message = _error(response)
        if response.status_code in (UNAVAILABLE, GATEWAY_TIMEOUT):
            raise NoAnswer(message, again=response.status_code == UNAVAILABLE)
        raise Refused(message)


def _error(response: requests.Response) -> str:
    try:
        return common.first_line(response.json()["error"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"HTTP {response.status_code} {response.reason}"


def _reason(error: BaseException | None) -> str:
    """The system's word on a lost connection, which lies at the bottom."""
    found = "no connection"
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            found = error.strerror
        error = error.__cause__ or error.__context__
    return found


def main(words: list[str]) -> int:
    return common.run(RestClient, words)


if __name__ == "__main__":
    common.define_flags("http://localhost:8501", "The server's URL, of its REST port.")
    cli.run(main, positional="[INPUT ...]")
