"""The service as an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from picanet_tf.core.files import in_utf8
from picanet_tf.core.hardware import cores
from picanet_tf.inference.litert import LiteRTModel
from picanet_tf.inference.options import PredictOptions
from picanet_tf.serving.service.answers import (
    Drawing,
    PictureResponse,
    result_name,
)
from picanet_tf.serving.service.bodies import (
    FIELD,
    Memory,
    Share,
    check_headers,
    open_image,
    read_upload,
    unavailable,
)
from picanet_tf.serving.service.hosts import HostPolicy
from picanet_tf.serving.service.jobs import JobQueue, QueueFull
from picanet_tf.serving.service.limits import Limits
from picanet_tf.serving.service.middleware import HostGuard, WholeBody, refusal
from picanet_tf.serving.service.queries import describe_parameters, parse_options
from picanet_tf.serving.service.site import page_of, routes_of, wants_page

_USAGE = """\
PiCANet: POST an image to cut out its salient object. The result has the image's size.

    curl --data-binary @photo.jpg {url} -o photo.cutout.png
    curl -F {field}=@photo.jpg '{url}?format=mask&threshold=0.5' -o photo.mask.png

{parameters}

Model: {model}. Limits: {limits}.
Errors are JSON: {{"error": "one line"}}. GET {url}health returns the status.
"""
_PAGE_USAGE = "Browsers get a page here, which runs the network in the browser: {url}\n"


def create_app(
    model: LiteRTModel,
    limits: Limits | None = None,
    *,
    allowed_hosts: Iterable[str] = (),
    allowed_origins: Iterable[str] = (),
    site: Path | None = None,
) -> Starlette:
    """Creates the ASGI application.

    POST / (or /predict) takes an image and returns a picture; GET / returns usage, or
    to browsers the page of `site`; GET /health returns the status. `serve` additionally
    limits the time for request headers and for reading the response; with another
    server, configure these limits there.

    Args:
        model: the model.
        limits: defaults to `Limits()`.
        allowed_hosts, allowed_origins: see `HostPolicy`.
        site: folder of `picanet web`; None: no page.

    Raises:
        PicanetError: if a host or an origin is invalid.
    """
    limits = limits or Limits()
    policy = HostPolicy(allowed_hosts, allowed_origins)
    service = _Service(model, limits, site)

    @asynccontextmanager
    async def lifespan(_):
        yield
        service.jobs.close()

    middleware = [
        Middleware(WholeBody, seconds=limits.timeout),
        Middleware(HostGuard, policy=policy),
    ]
    if policy.origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=policy.origins,
                allow_methods=["GET", "POST"],
                expose_headers=["Content-Disposition", "Retry-After"],
            )
        )
    app = Starlette(
        routes=[
            Route("/", service.index, methods=["GET", "POST"]),
            Route("/predict", service.predict, methods=["POST"]),
            Route("/health", service.health, methods=["GET"]),
            *(routes_of(site) if site else []),
        ],
        middleware=middleware,
        exception_handlers={HTTPException: _answer_error, Exception: _answer_bug},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.jobs = service.jobs
    return app


class _Service:
    """The endpoints of the application."""

    def __init__(self, model: LiteRTModel, limits: Limits, site: Path | None):
        self._model = model
        self._site = site
        self._limits = limits
        self._memory = Memory(limits.held_bytes)
        # One job runs the network, on all cores; the others decode or encode.
        threads = cores() + 1
        self.jobs = JobQueue(limits.max_pixels, threads, limits.queue)

    async def index(self, request: Request) -> Response:
        if request.method == "POST":
            return await self.predict(request)
        if self._site and wants_page(request):
            return page_of(self._site)
        usage = _USAGE + _PAGE_USAGE if self._site else _USAGE
        return PlainTextResponse(
            usage.format(
                url=request.url.replace(query=""),
                field=FIELD,
                parameters=describe_parameters(self._model.spec.formats),
                model=in_utf8(self._model.path.stem),
                limits=self._limits,
            ),
            headers={"Vary": "Accept"},
        )

    async def health(self, request: Request) -> Response:
        return JSONResponse(
            {
                "status": "ok",
                "model": in_utf8(self._model.path.stem),
                "waiting": self.jobs.waiting,
            }
        )

    async def predict(self, request: Request) -> Response:
        options = parse_options(
            request.query_params.multi_items(), self._model.spec.formats
        )
        check_headers(request, self._limits)
        with ExitStack() as stack:
            share = stack.enter_context(self._memory.share())
            try:
                self.jobs.check()
                drawing, name = await self._receive(request, options, share)
                content = await self._run_job(request, drawing)
            except QueueFull:
                reason = "too many requests are waiting"
                raise unavailable(reason, self.jobs.delay) from None
            except ClientDisconnect:
                return Response(status_code=400)  # not received by anyone
            share.add(len(content))
            kept = ExitStack()
            response = PictureResponse(content, name, kept.close)
            kept.push(stack.pop_all())  # The bytes count until the response is sent.
            return response

    async def _receive(
        self, request: Request, options: PredictOptions, share: Share
    ) -> tuple[Drawing, str]:
        share.take(0)  # raises 503 if memory is exhausted
        try:
            with anyio.fail_after(self._limits.timeout):
                upload = await read_upload(request, self._limits, share)
        except TimeoutError:
            raise HTTPException(
                408,
                f"the image was not received within {self._limits.timeout:g} s",
                headers={"Connection": "close"},
            ) from None
        image = await anyio.to_thread.run_sync(open_image, upload.content, self._limits)
        return Drawing(self._model, options, image), result_name(upload.name, options)

    async def _run_job(self, request: Request, drawing: Drawing) -> bytes:
        """Queues a job and returns its picture.

        Raises:
            HTTPException: 400 if the image cannot be decoded, 503 if the job is not
                started in time.
            QueueFull: if the queue is full.
            ClientDisconnect: if the client has disconnected.
        """
        job = self.jobs.add(drawing, drawing.pixels)
        gone = asyncio.ensure_future(_disconnection(request))
        either = {"fs": {job.result, gone}, "return_when": asyncio.FIRST_COMPLETED}
        try:
            await asyncio.wait(**either, timeout=self._limits.timeout)
            if job.started:
                await asyncio.wait(**either)
            if job.result.done():
                return job.result.result()
            if gone.done():
                raise ClientDisconnect
            reason = f"the request was not started within {self._limits.timeout:g} s"
            raise unavailable(reason, self.jobs.delay)
        finally:
            gone.cancel()
            self.jobs.abandon(job)


async def _disconnection(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _answer_error(request: Request, error: HTTPException) -> Response:
    reason = error.detail
    if error.status_code == 404:
        reason = f"{request.url.path} not found; POST an image to /, GET / for usage"
    elif error.status_code == 405:
        reason = f"{request.method} not allowed for {request.url.path}; see GET /"
    return refusal(error.status_code, reason, error.headers)


async def _answer_bug(request: Request, error: Exception) -> Response:
    return refusal(500, "internal server error; see the service's log")
