"""Custom gradients, which graphs for prediction leave out."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import tensorflow as tf

_differentiable = contextvars.ContextVar("differentiable", default=True)


@contextlib.contextmanager
def inference_only() -> Iterator[None]:
    """Leaves the gradients out of graphs that are traced in this context.

    TensorFlow registers the gradients of a graph under a name, for good, and with them
    the graph: a process that loads many networks would keep the graphs of all of them.
    The results are the same.
    """
    token = _differentiable.set(False)
    try:
        yield
    finally:
        _differentiable.reset(token)


def with_gradient(forward):
    """Applies `tf.custom_gradient`, except within `inference_only`.

    Args:
        forward: a function that returns (results, function that computes gradients).

    Returns:
        A function of the same arguments that returns the results.
    """
    if _differentiable.get():
        return tf.custom_gradient(forward)
    return lambda *arguments: forward(*arguments)[0]
