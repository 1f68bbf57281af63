"""Fields of `Experiment`: their descriptions and rules. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from picanet_tf.core.errors import PicanetError


def setting(default, description: str, **rules):
    """Returns a dataclass field with a description and rules.

    Args:
        default: default value, of the field's type. A tuple holds ascending steps.
        description: the help text.
        **rules: `minimum`, `maximum` (inclusive), `above`, `below` (exclusive) or
            `choices`.
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
    if "below" in rules and value >= rules["below"]:
        raise PicanetError(f"{name} must be below {rules['below']}. Received: {value}")
    if "above" in rules and value <= rules["above"]:
        raise PicanetError(f"{name} must be above {rules['above']}. Received: {value}")


def nearest_multiple(number: int, factor: int) -> int:
    """Returns the multiple of `factor` nearest to `number`, the larger one at a tie."""
    return max((2 * number + factor) // (2 * factor), 1) * factor


def from_json(kind, text: str, origin: str):
    """Creates a dataclass of settings from JSON.

    Args:
        kind: the dataclass.
        text: a JSON object of its fields.
        origin: name of the text in error messages, such as its path.

    Raises:
        PicanetError: if it is not valid; the message gives `origin`.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PicanetError(f"{origin} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise PicanetError(
            f"{origin} must hold a JSON object. Received: {type(values).__name__}"
        )
    unknown = sorted(set(values) - {field.name for field in dataclasses.fields(kind)})
    if unknown:
        raise PicanetError(f"{origin} has unknown settings: {', '.join(unknown)}")
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
    }
    try:
        return kind(**values)
    except (PicanetError, TypeError) as error:
        raise PicanetError(f"{origin}: {error}") from error


def load_json(kind, path: Path):
    """Creates a dataclass of settings from a JSON file, as `from_json`.

    Raises:
        PicanetError: if the file cannot be read or is not valid.
    """
    try:
        text = Path(path).read_text()
    except OSError as error:
        raise PicanetError(f"Cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PicanetError(f"{path} is not JSON: {error}") from error
    return from_json(kind, text, str(path))
