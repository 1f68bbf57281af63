"""A request's body, the image itself or a form with it, within the limits."""

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

from picanet_tf.core.images import FORMATS
from picanet_tf.serving.service.limits import Limits

FIELD = "image"

_FORM = "multipart/form-data"
_TEXT = 1024  # the largest field of a form that is not the image, in bytes


class Upload(NamedTuple):
    """An image as it came.

    Attributes:
        content: of the file.
        name: that its sender gave it; "" for none.
    """

    content: bytes
    name: str = ""


class Memory:
    """Counts the bytes that all requests hold together.

    Args:
        most: at once.
    """

    def __init__(self, most: int):
        self._most = most
        self.held = 0

    @contextmanager
    def share(self):
        """Yields a request's `Share`, given back on leaving."""
        share = Share(self)
        try:
            yield share
        finally:
            self.held -= share.held

    @property
    def exceeded(self) -> bool:
        return self.held > self._most


class Share:
    """What one request holds."""

    def __init__(self, memory: Memory):
        self._memory = memory
        self.held = 0

    def add(self, count: int) -> None:
        """Counts an answer, which is there already."""
        self.held += count
        self._memory.held += count

    def take(self, count: int) -> None:
        """Counts what has come.

        Raises:
            HTTPException: 503, all of them hold too much.
        """
        self.add(count)
        if self._memory.exceeded:
            raise unavailable("too many bytes are being worked on", 1)


def unavailable(reason: str, seconds: int) -> HTTPException:
    """503: not now."""
    return HTTPException(
        503,
        f"{reason}; try again in {seconds} s",
        headers={"Retry-After": str(seconds)},
    )


def check_headers(request: Request, limits: Limits) -> None:
    """What can be said of a body before it comes.

    Raises:
        HTTPException: 413 of a body that is too long, 415 of a compressed one.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise HTTPException(
            415, f"Content-Encoding {encoding!r} is not understood; send the file as is"
        )
    # Of a length that is no number the server itself has complained.
    if int(request.headers.get("content-length", 0)) > limits.max_bytes:
        raise _too_long(limits)


async def read_upload(request: Request, limits: Limits, share: Share) -> Upload:
    """Reads the body.

    Raises:
        HTTPException: 400 of a form that is not one file called `image`, 413 of a body
            that is too long, 503 when all requests hold too many bytes.
        ClientDisconnect: nobody is there any more.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    chunks = _chunks(request, limits, share)
    if kind == _FORM:
        upload = await _read_form(request, chunks, limits)
    else:
        upload = Upload(b"".join([chunk async for chunk in chunks]))
    if not upload.content:
        raise HTTPException(
            400, f"there is no image in it: send its bytes, or a form's file {FIELD!r}"
        )
    return upload


def open_image(content: bytes, limits: Limits) -> Image.Image:
    """Reads an image's header; its pixels are decoded later.

    Raises:
        HTTPException: 400 of what is no image, 413 of one with too many pixels.
    """
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError:
        pixels = "more"
    except UnidentifiedImageError:
        raise HTTPException(400, "not an image of a known format") from None
    except Exception as error:  # Of a broken header it raises anything.
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
        f"{_FORM}: one file is wanted, called {FIELD!r}, and nothing beside it. "
        f"Received: {', '.join(received) or 'nothing'}",
    )


def _too_long(limits: Limits) -> HTTPException:
    return HTTPException(413, f"at most {limits.max_bytes:,} bytes are accepted")
