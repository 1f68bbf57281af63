"""Checks that several layers make of their arguments when they are constructed."""

from __future__ import annotations

from numbers import Integral


def one_of(allowed: tuple[str, ...], **argument: str) -> str:
    """The argument's value, if it is an allowed one.

    Example:
        >>> one_of(("average", "max"), mode="max")
        'max'
    """
    ((name, value),) = argument.items()
    if value not in allowed:
        raise ValueError(
            f"`{name}` must be one of {allowed}. Received: {name}={value!r}"
        )
    return value


def positive(**argument: int) -> int:
    """The argument's value, if it is a whole number above 0.

    Example:
        >>> positive(filters=64)
        64
    """
    ((name, value),) = argument.items()
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(
            f"`{name}` must be a whole number of at least 1. Received: {name}={value!r}"
        )
    return value


def centred(kernel_size: int) -> int:
    """The window's size, if it is odd and above 0."""
    if positive(kernel_size=kernel_size) % 2 == 0:
        raise ValueError(
            "`kernel_size` must be odd, so that the window has a centre. "
            f"Received: kernel_size={kernel_size}"
        )
    return kernel_size
