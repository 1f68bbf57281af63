"""Answers a request: draws the result and sends the picture."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from starlette.exceptions import HTTPException
from starlette.responses import Response

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.pictures import OUTPUT_FORMATS, encode_picture
from picanet_tf.inference.litert import LiteRTModel
from picanet_tf.inference.options import PredictOptions
from picanet_tf.inference.sources import to_array
from picanet_tf.serving.service.jobs import Job

_MEDIA_TYPES = {
    each.extension: f"image/{each.pillow.lower()}" for each in OUTPUT_FORMATS.values()
}
_CHUNK = 1 << 20  # bytes per response chunk


def result_name(name: str, options: PredictOptions) -> str:
    """Returns the name of a result: `holidays/photo.jpg` -> `photo.cutout.png`.

    Without a name it is `image.cutout.png`.
    """
    stem = Path(re.split(r"[/\\]", name)[-1]).stem[:100]
    return f"{stem or 'image'}.{options.form}{options.extension}"


class Drawing:
    """A job that decodes and predicts an image and encodes the result.

    Args:
        model: the model.
        options: query parameters.
        image: an opened image; decoded by the job and released afterwards.
    """

    def __init__(self, model: LiteRTModel, options: PredictOptions, image: Image.Image):
        self._model = model
        self._options = options
        self._image = image
        self.pixels = image.width * image.height

    def __call__(self, job: Job) -> bytes:
        """Returns the encoded picture; empty if the job is abandoned.

        Raises:
            HTTPException: 400 if the image cannot be decoded, or there is no result.
        """
        try:
            image, self._image = to_array(self._image, keep_alpha=True), None
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        if job.abandoned:
            return b""
        result = self._model.predict(image)
        if job.abandoned:
            return b""
        options = self._options
        try:
            picture = self._model.render(
                options.form, image, result, options.threshold, options.cutout
            )
            return encode_picture(picture, options.output_format, options.quality)
        except PicanetError as error:  # Such as no object to crop to.
            raise HTTPException(400, str(error)) from error


class PictureResponse(Response):
    """A picture, sent in chunks as fast as the client reads.

    Args:
        content: the encoded picture.
        name: suggested file name.
        ended: called after the response is sent or has failed.
    """

    def __init__(self, content: bytes, name: str, ended: Callable[[], None]):
        quoted = quote(name, errors="replace")  # It may have lone surrogates.
        naming = (
            f'filename="{name}"' if quoted == name else f"filename*=UTF-8''{quoted}"
        )
        super().__init__(
            content,
            media_type=_MEDIA_TYPES[Path(name).suffix],
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
