"""Serves a model over HTTP: an image in, its cut-out, map or mask out, as a PNG.

    picanet serve
    curl --data-binary @photo.jpg http://127.0.0.1:8080/ -o photo.cutout.png
    curl -F image=@photo.jpg 'http://127.0.0.1:8080/?format=mask&threshold=0.5' -o m.png

    picanet serve --port 9000 --max_bytes 10000000 --timeout 10
    picanet serve --host 0.0.0.0 --allowed_hosts photos.example.com

?format= is cutout (default), map, mask, overlay or panel. GET /health tells whether it
is well, GET / how to use it. Errors are JSON, {"error": one line}: 4xx for what is
wrong with a request, 503 with Retry-After when too many wait.

It answers this machine only, unless --host opens it to others. It has no passwords and
no encryption: put a proxy in front before strangers may come. Needs
pip install starlette uvicorn python-multipart (the extra [server]), and no TensorFlow.

A run is exported first:

    picanet export --model runs/mine --formats tflite --quantize dynamic \\
        --output export/mine
    picanet serve --model export/mine/1
"""

from absl import flags

from picanet_tf.core import cli
from picanet_tf.core.errors import PicanetError
from picanet_tf.inference.loading import MOST_THREADS, load_model
from picanet_tf.inference.locate import DESCRIPTION, locate
from picanet_tf.serving.service.limits import LARGEST, Limits

FLAGS = flags.FLAGS
POSITIONAL = ""


def define_flags() -> None:
    default = Limits()
    whole = flags.DEFINE_integer
    flags.DEFINE_string("model", None, DESCRIPTION)
    whole("threads", None, "Of the network; by default one a core.", 1, MOST_THREADS)
    flags.DEFINE_string("host", "127.0.0.1", "The address to listen at.")
    whole("port", 8080, "The port to listen at; 0 for any free one.", 0, 65535)
    whole("max_bytes", default.max_bytes, "Of a request's body.", 1)
    whole(
        "max_pixels",
        default.max_pixels,
        "The largest width x height of an image, and of all that are worked on at "
        "once: about 16 bytes of memory a pixel.",
        1,
        LARGEST,
    )
    flags.DEFINE_float(
        "timeout",
        default.timeout,
        "Seconds; each for an image to arrive, for a request to get its turn, and for "
        "a client to take the next piece of its answer.",
        0.01,
    )
    whole("queue", default.queue, "Requests that may wait; others get 503.", 0)
    flags.DEFINE_list(
        "allowed_hosts",
        [],
        "Names by which others reach the service, with commas between: example.com is "
        "any port of it, example.com:8080 one; * any name. This machine's own are "
        "always good.",
    )
    flags.DEFINE_list(
        "allowed_origins",
        [],
        "Web sites whose pages may use the service, with commas between, such as "
        "https://example.com; * any.",
    )


def main(words: list[str]) -> int:
    return serve()


def serve() -> int:
    from picanet_tf.serving import service

    address = FLAGS.host, FLAGS.port
    allowed = {
        "allowed_hosts": FLAGS.allowed_hosts,
        "allowed_origins": FLAGS.allowed_origins,
    }
    limits = Limits(
        max_bytes=FLAGS.max_bytes,
        max_pixels=FLAGS.max_pixels,
        timeout=FLAGS.timeout,
        queue=FLAGS.queue,
    )
    service.check(*address, **allowed)
    found = locate(FLAGS.model)
    if not found.has_litert:
        raise PicanetError(
            f"--model {found.name} has no LiteRT file to serve. Make one: picanet "
            f"export --model {found.name} --formats tflite --quantize dynamic --output "
            "export/mine; then picanet serve --model export/mine/1"
        )
    model = load_model(found, engine="litert", threads=FLAGS.threads)
    service.serve(model, *address, limits, **allowed)
    return 0


if __name__ == "__main__":
    define_flags()
    cli.run(main)
