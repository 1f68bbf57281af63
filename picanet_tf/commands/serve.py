"""Serves a model over HTTP: POST an image, get its cut-out, map or mask.

    picanet serve
    curl --data-binary @photo.jpg http://127.0.0.1:8080/ -o photo.cutout.png
    curl -F image=@photo.jpg 'http://127.0.0.1:8080/?format=mask&threshold=0.5' -o m.png
    curl --data-binary @photo.jpg \\
        'http://127.0.0.1:8080/?background=white&output_format=jpg' -o white.jpg

    picanet serve --port 9000 --max_bytes 10000000 --timeout 10
    picanet serve --host 0.0.0.0 --allowed_hosts photos.example.com

?format= is cutout (default), map, mask, overlay or panel. Other parameters are those of
picanet predict: threshold, background (no files), edges, crop, largest_only, invert,
output_format and quality. GET /health reports the status, GET / prints usage, and
shows browsers the page of picanet web, which runs the network in them. Errors are JSON,
{"error": "one line"}: 4xx for a bad request, 503 with Retry-After if the queue is full.

The service listens on localhost only unless --host is given. It has no authentication
or encryption: put a reverse proxy in front of it before exposing it. Requires
pip install starlette uvicorn python-multipart (the extra [server]), but no TensorFlow.

To serve your own run, export it first:

    picanet export --model runs/mine --formats tflite --quantize dynamic \\
        --output export/mine
    picanet serve --model export/mine/1
"""

import os
import sys
from contextlib import nullcontext

from absl import flags

from picanet_tf.core import cli
from picanet_tf.core.errors import PicanetError
from picanet_tf.inference.loading import MOST_THREADS, load_model
from picanet_tf.inference.locate import DESCRIPTION, locate
from picanet_tf.serving import web
from picanet_tf.serving.service.limits import LARGEST, Limits

POSITIONAL = ""


def define_flags() -> None:
    default = Limits()
    whole = flags.DEFINE_integer
    flags.DEFINE_string("model", None, DESCRIPTION)
    whole("threads", None, "Network threads; default: one per core.", 1, MOST_THREADS)
    flags.DEFINE_string("host", "127.0.0.1", "Address to listen on.")
    whole("port", 8080, "Port to listen on; 0 for any free one.", 0, 65535)
    whole("max_bytes", default.max_bytes, "Largest request body in bytes.", 1)
    whole(
        "max_pixels",
        default.max_pixels,
        "Largest width x height of an image, and of all images processed at once; "
        "takes about 30 bytes of memory per pixel.",
        1,
        LARGEST,
    )
    flags.DEFINE_float(
        "timeout",
        default.timeout,
        "Seconds allowed for each of: receiving an image, waiting in the queue, and "
        "the client reading the next chunk of the response.",
        0.01,
    )
    whole("queue", default.queue, "Requests that may wait; further ones get 503.", 0)
    flags.DEFINE_list(
        "allowed_hosts",
        [],
        "Comma-separated host names accepted in the Host header: example.com (any "
        "port), example.com:8080, or * for any. Localhost is always accepted, with the "
        "service's port or none.",
    )
    flags.DEFINE_list(
        "allowed_origins",
        [],
        "Comma-separated origins of web pages that may use the service, such as "
        "https://example.com, or * for any.",
    )
    flags.DEFINE_bool(
        "page", True, "Whether browsers get the page of picanet web at /."
    )
    cli.path_flags("model")


def main(_) -> int:
    from picanet_tf.serving import service

    values = flags.FLAGS
    address = values.host, values.port
    allowed = {
        "allowed_hosts": values.allowed_hosts,
        "allowed_origins": values.allowed_origins,
    }
    limits = Limits(
        max_bytes=values.max_bytes,
        max_pixels=values.max_pixels,
        timeout=values.timeout,
        queue=values.queue,
    )
    service.check(*address, **allowed)
    found = locate(values.model)
    if not found.has_litert:
        raise PicanetError(
            f"--model {found.name} has no LiteRT file to serve. Create one: picanet "
            f"export --model {found.name} --formats tflite --quantize dynamic --output "
            "export/mine; then run picanet serve --model export/mine/1"
        )
    model = load_model(found, engine="litert", threads=values.threads)
    page = nullcontext()
    if values.page:
        card = found.preset.card_path if found.preset else None
        page = web.temporary_site(model.path, web.name_of(found.name), card)
    with page as site:
        still_at_work = service.serve(model, *address, limits, **allowed, site=site)
    if still_at_work:  # Nobody waits for the results any more.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


if __name__ == "__main__":
    define_flags()
    cli.run(main)
