"""Fields of `Experiment`: their descriptions and rules. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses

from picanet_tf.core.errors import PicanetError


def setting(default, description: str, **rules):
    """Returns a dataclass field with a description and rules.

    Args:
        default: default value, of the field's type. A tuple holds ascending steps.
        description: the help text.
        **rules: `minimum`, `maximum`, `above` or `choices`.
    """
    return dataclasses.field(
        default=default, metadata={"description": description, **rules}
    )


def check(field: dataclasses.Field, value) -> None:
    """Raises `PicanetError` if a value violates the type or a rule of its field."""
    rules, name = field.metadata, f"`{field.name}`"
    if isinstance(field.default, tuple):
        steps = value if isinstance(value, tuple) else ("not a tuple",)
        if not all(type(step) is int and 0 < step < 2**63 for step in steps):
            raise PicanetError(f"{name} must be positive steps. Received: {value}")
        if list(value) != sorted(value):
            raise PicanetError(f"{name} must be ascending. Received: {value}")
        return
    kind = type(field.default)
    numeric = kind is float and type(value) is int
    if type(value) is not kind and not numeric:
        raise PicanetError(f"{name} must be {kind.__name__}. Received: {value!r}")
    if type(value) is int and abs(value) >= 2**63:
        raise PicanetError(
            f"{name} must have at most 63 bits. Received: {hex(value):.40}"
        )
    if kind is float and not abs(value) < float("inf"):
        raise PicanetError(f"{name} must be finite. Received: {value}")
    if "choices" in rules and value not in rules["choices"]:
        options = ", ".join(rules["choices"])
        raise PicanetError(f"{name} must be one of {options}. Received: {value!r}")
    if "minimum" in rules and value < rules["minimum"]:
        raise PicanetError(
            f"{name} must be at least {rules['minimum']}. Received: {value}"
        )
    if "maximum" in rules and value > rules["maximum"]:
        raise PicanetError(
            f"{name} must be at most {rules['maximum']}. Received: {value}"
        )
    if "above" in rules and value <= rules["above"]:
        raise PicanetError(f"{name} must be above {rules['above']}. Received: {value}")


def nearest_multiple(number: int, factor: int) -> int:
    """Returns the multiple of `factor` nearest to `number`, the larger one at a tie."""
    return max((2 * number + factor) // (2 * factor), 1) * factor
