"""Parses the query of a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from starlette.exceptions import HTTPException

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.pictures import OUTPUT_FORMATS
from picanet_tf.drawing.backgrounds import parse_background
from picanet_tf.drawing.cutouts import CutoutOptions
from picanet_tf.inference.options import CUTOUT, PredictOptions


def _boolean(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text]


# {parameter: (parser, what it accepts)}. Matting is left out: it takes seconds, during
# which other requests would wait.
_CUTOUT: dict[str, tuple[Callable, str]] = {
    "edges": (str, "text"),
    "background": (str, "text"),
    **dict.fromkeys(("crop", "largest_only", "invert"), (_boolean, "true or false")),
}
_OTHERS: dict[str, tuple[Callable, str]] = {
    "format": (str, "text"),
    "threshold": (float, "a number from 0 to 1"),
    "output_format": (str, "text"),
    "quality": (int, "a whole number from 1 to 100"),
}
_PARAMETERS = _OTHERS | _CUTOUT


def parse_options(
    pairs: Iterable[tuple[str, str]], formats: tuple[str, ...]
) -> PredictOptions:
    """Parses the query.

    Args:
        pairs: (name, value) pairs.
        formats: output formats of the model.

    Raises:
        HTTPException: 400 for an unknown or repeated parameter or an invalid value.
    """
    given: dict[str, object] = {}
    for name, text in pairs:
        if name not in _PARAMETERS:
            raise HTTPException(
                400, f"unknown parameter {name!r}; known are {', '.join(_PARAMETERS)}"
            )
        if name in given:
            raise HTTPException(400, f"{name} is given twice")
        parse, accepted = _PARAMETERS[name]
        try:
            given[name] = parse(text)
        except (ValueError, KeyError):
            raise HTTPException(
                400, f"{name} must be {accepted}. Received: {text!r}"
            ) from None
    form = given.pop("format", CUTOUT)
    if form not in formats:
        raise HTTPException(
            400, f"format must be one of {', '.join(formats)}. Received: {form!r}"
        )
    if "threshold" in given and form != "mask":
        raise HTTPException(400, "threshold goes with format=mask only")
    try:
        if "background" in given:  # A client must not name the server's files.
            parse_background(given["background"], files=False)
        cutout = CutoutOptions(**{n: given.pop(n) for n in _CUTOUT if n in given})
        return PredictOptions(form=form, cutout=cutout, **given)
    except PicanetError as error:
        raise HTTPException(400, str(error)) from error


def describe_parameters(formats: tuple[str, ...]) -> str:
    """Returns the usage, a line per parameter."""
    lines = {
        "format": f"{', '.join(formats)}; default: {CUTOUT}",
        "threshold": "for mask, 0 to 1; default: 0.5",
        "background": "of cut-outs: transparent (default), blur, or a colour such as "
        "white or %23ff8800",
        "edges": "guided (default for cut-outs): as in the photo; or plain",
        "crop": "true: crop cut-outs to the object",
        "largest_only": "true: keep only the largest of several objects",
        "invert": "true: keep the background instead of the object",
        "output_format": f"{', '.join(OUTPUT_FORMATS)}; default: png",
        "quality": "of jpg and webp, 1 to 100; default: 90",
    }
    return "\n".join(f"{name:<14} {text}" for name, text in lines.items())
