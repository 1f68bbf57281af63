"""`picanet serve`: a small HTTP service, an image in, a PNG out. No TensorFlow.

    check(host, port)           whether it could be served, before the model is loaded
    serve(model, host, port)    until Ctrl-C
    create_app(model)           the same as an ASGI application, for another server

It wants the extra `[server]`: Starlette, uvicorn and python-multipart are
imported when first needed.

A request goes through `middleware` (Host and Origin), `app` (options), `bodies` (bytes
in, within the limits) and `jobs` (its turn, in threads); `protocol` bounds what happens
on the wire before and after.
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
