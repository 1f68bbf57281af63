"""Reads request bodies, a raw image or a form, within the limits."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import contextmanager
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError
from python_multipart.exceptions import FormParserError
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from picanet_tf.core.opening import open_image as open_file
from picanet_tf.serving.service.limits import Limits

FIELD = "image"

_FORM = "multipart/form-data"
_TEXT = 1024  # largest form field other than the image, in bytes


class Upload(NamedTuple):
    """An uploaded image.

    Attributes:
        content: contents of the file.
        name: file name given by the client; "" if none.
    """

    content: bytes
    name: str = ""


class Memory:
    """Counts the bytes held by all requests together.

    Args:
        most: largest number of bytes held at once.
    """

    def __init__(self, most: int):
        self._most = most
        self.held = 0

    @contextmanager
    def share(self):
        """Yields a request's `Share`, which is released on exit."""
        share = Share(self)
        try:
            yield share
        finally:
            self.held -= share.held

    @property
    def exceeded(self) -> bool:
        """Whether more bytes are held than allowed."""
        return self.held > self._most


class Share:
    """The bytes held by one request."""

    def __init__(self, memory: Memory):
        self._memory = memory
        self.held = 0

    def add(self, count: int) -> None:
        """Adds the bytes of a response, without a limit."""
        self.held += count
        self._memory.held += count

    def take(self, count: int) -> None:
        """Adds received bytes.

        Raises:
            HTTPException: 503 if all requests together hold too many bytes.
        """
        self.add(count)
        if self._memory.exceeded:
            raise unavailable("too many bytes are being processed", 1)


def unavailable(reason: str, seconds: int) -> HTTPException:
    """Returns a 503 error with Retry-After."""
    return HTTPException(
        503,
        f"{reason}; try again in {seconds} s",
        headers={"Retry-After": str(seconds)},
    )


def check_headers(request: Request, limits: Limits) -> None:
    """Checks the headers before the body is read.

    Raises:
        HTTPException: 413 if the body is too long, 415 if it is compressed.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise HTTPException(
            415, f"Content-Encoding {encoding!r} is not supported; send the file as is"
        )
    # The server itself rejects a Content-Length that is not a number.
    if int(request.headers.get("content-length", 0)) > limits.max_bytes:
        raise _too_long(limits)


async def read_upload(request: Request, limits: Limits, share: Share) -> Upload:
    """Reads the body.

    Raises:
        HTTPException: 400 if a form is not a single file called `image`, 413 if the
            body is too long, 503 if all requests together hold too many bytes.
        ClientDisconnect: if the client has disconnected.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    chunks = _chunks(request, limits, share)
    if kind == _FORM:
        upload = await _read_form(request, chunks, limits)
    else:
        upload = Upload(b"".join([chunk async for chunk in chunks]))
    if not upload.content:
        raise HTTPException(
            400, f"the request has no image: send its bytes, or a form file {FIELD!r}"
        )
    return upload


def open_image(content: bytes, limits: Limits) -> Image.Image:
    """Opens an image without decoding its pixels.

    Raises:
        HTTPException: 400 if it is not an image, 413 if it has too many pixels.
    """
    try:
        image = open_file(io.BytesIO(content))
    except Image.DecompressionBombError:
        pixels = "more"
    except UnidentifiedImageError:
        raise HTTPException(
            400,
            "not an image of a known format (curl needs --data-binary, not -d)",
        ) from None
    except Exception as error:  # A broken header may raise any exception.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise HTTPException(400, f"not a readable image: {reason}") from None
    else:
        width, height = image.size
        if width * height <= limits.max_pixels:
            return image
        pixels = f"{width} x {height}"
    raise HTTPException(
        413,
        f"at most {limits.max_pixels:,} pixels are accepted, the image has {pixels}",
    )


async def _chunks(
    request: Request, limits: Limits, share: Share
) -> AsyncIterator[bytes]:
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > limits.max_bytes:
            raise _too_long(limits)
        share.take(len(chunk))
        yield chunk


async def _read_form(request: Request, chunks, limits: Limits) -> Upload:
    parser = MultiPartParser(
        request.headers, chunks, max_files=8, max_fields=8, max_part_size=_TEXT
    )
    parser.spool_max_size = limits.max_bytes + 1  # never a file on the disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, f"{_FORM}: {error.message}") from error
    except FormParserError as error:
        raise HTTPException(400, f"{_FORM}: {error}") from error
    except UnicodeError as error:  # of its charset, such as idna
        raise HTTPException(400, f"{_FORM}: a name cannot be decoded") from error
    try:
        found = form.multi_items()
        if (
            len(found) == 1
            and found[0][0] == FIELD
            and not isinstance(found[0][1], str)
        ):
            ((_, file),) = found
            return Upload(await file.read(), file.filename or "")
    finally:
        await form.close()
    received = [
        f"{name!r} (a {'text' if isinstance(value, str) else 'file'})"
        for name, value in found
    ]
    raise HTTPException(
        400,
        f"{_FORM} must have one file field {FIELD!r} and no other fields; "
        "parameters belong in the address, such as /?background=white. "
        f"Received: {', '.join(received) or 'nothing'}",
    )


def _too_long(limits: Limits) -> HTTPException:
    return HTTPException(413, f"at most {limits.max_bytes:,} bytes are accepted")
