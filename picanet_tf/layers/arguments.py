"""Checks of constructor arguments that several layers share."""

from __future__ import annotations

from numbers import Integral


def check_choice(allowed: tuple[str, ...], **argument: str) -> str:
    """Returns an argument's value if it is one of the allowed values.

    Args:
        allowed: the allowed values.
        **argument: the argument to check, by its name.

    Raises:
        ValueError: the value is none of `allowed`.

    Example:
        >>> check_choice(("average", "max"), mode="max")
        'max'
    """
    ((name, value),) = argument.items()
    if value not in allowed:
        raise ValueError(
            f"`{name}` must be one of {allowed}. Received: {name}={value!r}"
        )
    return value


def check_positive(**argument: int) -> int:
    """Returns an argument's value if it is a whole number of at least 1.

    Args:
        **argument: the argument to check, by its name.

    Raises:
        ValueError: the value is below 1 or not a whole number.

    Example:
        >>> check_positive(filters=64)
        64
    """
    ((name, value),) = argument.items()
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(
            f"`{name}` must be a whole number of at least 1. Received: {name}={value!r}"
        )
    return value


def check_odd(**argument: int) -> int:
    """Returns a window size if it is odd and at least 1.

    Args:
        **argument: the argument to check, by its name.

    Raises:
        ValueError: the value is even, below 1 or not a whole number.

    Example:
        >>> check_odd(kernel_size=7)
        7
    """
    value = check_positive(**argument)
    if value % 2 == 0:
        (name,) = argument
        raise ValueError(
            f"`{name}` must be odd, so that the window has a centre. "
            f"Received: {name}={value}"
        )
    return value
