"""The project's exceptions. `PicanetError` is their base class."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class PicanetError(ValueError):
    """A user error, as one line: the argument, the rule and the value received.

    Commands print it without a traceback and exit with code 1.
    """


@contextlib.contextmanager
def naming_argument(argument: str) -> Iterator[None]:
    """Context manager that adds an argument's name to `PicanetError`s without it."""
    try:
        yield
    except PicanetError as error:
        if f"`{argument}`" in str(error):
            raise
        error.args = (f"`{argument}`: {error}",)
        raise


class DatasetError(PicanetError):
    """A converted data set that is missing, incomplete or of the wrong kind."""
