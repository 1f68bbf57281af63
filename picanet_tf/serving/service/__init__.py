"""`picanet serve`: an HTTP service that returns a PNG for an image. No TensorFlow.

    check(host, port)           checks that it can be served, before loading the model
    serve(model, host, port)    serves until Ctrl-C
    create_app(model)           returns an ASGI application, for another server

Requires the extra `[server]`: Starlette, uvicorn and python-multipart, which are
imported lazily.

A request passes through `middleware` (Host and Origin), `app` (options), `bodies` (body
within the limits) and `jobs` (queue and threads); `protocol` adds connection timeouts.
"""

import importlib

from picanet_tf.serving.service.limits import Limits

__all__ = ["Limits", "check", "create_app", "serve"]

_LATE = {"check": "server", "create_app": "app", "serve": "server"}


def __getattr__(name):
    if name in _LATE:
        module = importlib.import_module(f"{__name__}.{_LATE[name]}")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
