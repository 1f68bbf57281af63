"""Handles a request: parses the query, draws the result, sends the PNG."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from PIL import Image
from starlette.exceptions import HTTPException
from starlette.responses import Response

from picanet_tf.core.pictures import PNG_COMPRESSION
from picanet_tf.inference.litert import LiteRTModel
from picanet_tf.inference.sources import to_array
from picanet_tf.serving.service.jobs import Job

DEFAULT_FORMAT = "cutout"

_CHUNK = 1 << 20  # bytes per response chunk


class Options(NamedTuple):
    """Query parameters of a request."""

    form: str = DEFAULT_FORMAT
    threshold: float = 0.5


def parse_options(
    pairs: Iterable[tuple[str, str]], formats: tuple[str, ...]
) -> Options:
    """Parses the query.

    Args:
        pairs: (name, value) pairs.
        formats: output formats of the model.

    Raises:
        HTTPException: 400 for an unknown or repeated parameter or an invalid value.
    """
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in ("format", "threshold"):
            raise HTTPException(
                400, f"unknown parameter {name!r}; use format and threshold"
            )
        if name in given:
            raise HTTPException(400, f"{name} is given twice")
        given[name] = value
    form = given.get("format", DEFAULT_FORMAT)
    if form not in formats:
        raise HTTPException(
            400, f"format must be one of {', '.join(formats)}. Received: {form!r}"
        )
    if "threshold" not in given:
        return Options(form)
    if form != "mask":
        raise HTTPException(400, "threshold goes with format=mask only")
    try:
        threshold = float(given["threshold"])
    except ValueError:
        threshold = -1.0
    if not 0 <= threshold <= 1:
        raise HTTPException(
            400,
            f"threshold must be a number from 0 to 1. Received: {given['threshold']!r}",
        )
    return Options(form, threshold)


def result_name(name: str, options: Options) -> str:
    """`holidays/photo.jpg` -> `photo.cutout.png`; `image.cutout.png` without a name."""
    stem = Path(re.split(r"[/\\]", name)[-1]).stem[:100]
    return f"{stem or 'image'}.{options.form}.png"


class Drawing:
    """A job that decodes and predicts an image and encodes the result as PNG.

    Args:
        model: the model.
        options: query parameters.
        image: an opened image; decoded by the job and released afterwards.
    """

    def __init__(self, model: LiteRTModel, options: Options, image: Image.Image):
        self._model = model
        self._options = options
        self._image = image
        self.pixels = image.width * image.height

    def __call__(self, job: Job) -> bytes:
        """Returns the PNG; empty if the job is abandoned.

        Raises:
            HTTPException: 400 if the image cannot be decoded.
        """
        try:
            image, self._image = to_array(self._image), None
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        if job.abandoned:
            return b""
        result = self._model.predict(image)
        if job.abandoned:
            return b""
        form, threshold = self._options
        buffer = io.BytesIO()
        picture = self._model.render(form, image, result, threshold)
        picture.save(buffer, "PNG", compress_level=PNG_COMPRESSION)
        return buffer.getvalue()


class PngResponse(Response):
    """A PNG response, sent in chunks as fast as the client reads.

    Args:
        content: the encoded PNG.
        name: suggested file name.
        ended: called after the response is sent or has failed.
    """

    media_type = "image/png"

    def __init__(self, content: bytes, name: str, ended: Callable[[], None]):
        quoted = quote(name)
        naming = (
            f'filename="{name}"' if quoted == name else f"filename*=UTF-8''{quoted}"
        )
        super().__init__(
            content,
            headers={
                "Content-Disposition": f"inline; {naming}",
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            },
        )
        self._ended = ended

    async def __call__(self, scope, receive, send) -> None:
        start = {"type": "http.response.start", "status": self.status_code}
        try:
            await send({**start, "headers": self.raw_headers})
            for first in range(0, len(self.body), _CHUNK):
                chunk = self.body[first : first + _CHUNK]
                last = first + _CHUNK >= len(self.body)
                await send(
                    {"type": "http.response.body", "body": chunk, "more_body": not last}
                )
        finally:
            self._ended()
