"""The ICC profile of an image: embedded, or built from numbers that describe colours.

Those numbers are in PNG's cICP, cHRM and gAMA chunks, and in HEIF's and AVIF's nclx
box; they are read as browsers do.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# Chromaticities x, y of white, red, green, blue by ITU-T H.273's code of primaries.
_D65 = (0.3127, 0.329)
_PRIMARIES = {
    1: (*_D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06),  # BT.709, sRGB
    5: (*_D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),  # BT.601, PAL
    6: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),  # BT.601, NTSC
    7: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),  # SMPTE 240M
    9: (*_D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),  # BT.2020
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),  # DCI-P3
    12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),  # Display P3
}
_UNSPECIFIED = 2
# Parameters of ICC's parametric curves by H.273's code of transfer characteristics.
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_CURVES = {
    # Television's curves are shown as sRGB.
    **dict.fromkeys((1, _UNSPECIFIED, 6, 7, 13, 14, 15), _SRGB_CURVE),
    4: (2.2,),
    5: (2.8,),
    8: (1.0,),
}
_HDR = {16: "PQ", 18: "HLG"}
# The gamma that PNG files of sRGB images declare; it stands for the curve of sRGB.
_SRGB_GAMMA = 0.45455
_GAMMA_TOLERANCE = 0.05  # libpng's

_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_D50 = np.array([0.9642, 1.0, 0.8249])


class ProfileError(ValueError):
    """Colours that cannot be converted; the message says why."""


def profile_of(info: Mapping[str, Any]) -> bytes:
    """Returns the ICC profile of an image.

    Args:
        info: `info` of the loaded image, with the content of a PNG's cICP chunk, if it
            has one, as `cicp`.

    Returns:
        The profile; empty for sRGB or if the file declares nothing.

    Raises:
        ProfileError: if the profile is incomplete, or the numbers describe no
            supported colour space.
    """
    if len(info.get("cicp", b"")) == 4:
        return _coded_profile(*info["cicp"][:2])
    if "icc_profile" in info:
        profile = info["icc_profile"]
        if not isinstance(profile, bytes):
            raise ProfileError("it is incomplete")  # Pillow then gives None.
        return profile
    if "nclx_profile" in info:
        nclx = info["nclx_profile"]
        return _coded_profile(nclx["color_primaries"], nclx["transfer_characteristics"])
    if "srgb" in info or not info.keys() & {"gamma", "chromaticity"}:
        return b""
    gamma = info.get("gamma", _SRGB_GAMMA)
    if not 0.1 <= gamma <= 10:
        raise ProfileError(f"its gamma {gamma} is not in 0.1 to 10")
    is_srgb_like = abs(gamma / _SRGB_GAMMA - 1) <= _GAMMA_TOLERANCE
    chromaticities = info.get("chromaticity", _PRIMARIES[1])
    return rgb_profile(chromaticities, _SRGB_CURVE if is_srgb_like else (1 / gamma,))


def _coded_profile(primaries: int, transfer: int) -> bytes:
    if transfer in _HDR:
        raise ProfileError(f"high dynamic range ({_HDR[transfer]}) is not supported")
    if primaries == _UNSPECIFIED:
        primaries = 1
    if primaries not in _PRIMARIES or transfer not in _CURVES:
        raise ProfileError(
            f"primaries {primaries} with transfer {transfer} of H.273 are not supported"
        )
    return rgb_profile(_PRIMARIES[primaries], _CURVES[transfer])


def rgb_profile(chromaticities: Sequence[float], curve: Sequence[float]) -> bytes:
    """Builds the ICC profile of an RGB colour space.

    Args:
        chromaticities: x and y of white, red, green and blue: 8 numbers.
        curve: from values to linear light: (gamma,), or the five parameters of ICC's
            parametric curve of type 3.

    Returns:
        The encoded profile.

    Raises:
        ProfileError: if the primaries span no colour space.
    """
    tags = {b"wtpt": _xyz(_D50)}
    for name, colorant in zip(b"rgb", _colorants(chromaticities).T, strict=True):
        tags[b"%cXYZ" % name] = _xyz(colorant)
        kind = 0 if len(curve) == 1 else 3
        head = struct.pack(">4sIHH", b"para", 0, kind, 0)
        tags[b"%cTRC" % name] = head + _fixed_point(curve)
    place = 128 + 4 + 12 * len(tags)
    table = struct.pack(">I", len(tags))
    for name, content in tags.items():
        table += struct.pack(">4sII", name, place, len(content))
        place += len(content)
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x", place, 0x04000000, b"mntr", b"RGB ", b"XYZ ", b"acsp"
    )
    header += _fixed_point(_D50)
    return header.ljust(128, b"\0") + table + b"".join(tags.values())


def _colorants(chromaticities: Sequence[float]) -> np.ndarray:
    """Returns XYZ of red, green and blue as columns, adapted to white point D50."""
    xy = np.reshape(chromaticities, (4, 2))
    try:
        with np.errstate(all="raise"):
            xyz = np.stack([xy[:, 0], xy[:, 1], 1 - xy.sum(axis=1)]) / xy[:, 1]
            white, primaries = xyz[:, 0], xyz[:, 1:]
            colorants = primaries * np.linalg.solve(primaries, white)
            scale = (_BRADFORD @ _D50) / (_BRADFORD @ white)
            adapted = np.linalg.solve(_BRADFORD, scale[:, None] * _BRADFORD) @ colorants
    except (FloatingPointError, np.linalg.LinAlgError):
        adapted = np.full((3, 3), np.inf)
    if not (np.abs(adapted) < 4).all():
        raise ProfileError("its primaries span no colour space")
    return adapted


def _xyz(values: Sequence[float]) -> bytes:
    return struct.pack(">4sI", b"XYZ ", 0) + _fixed_point(values)


def _fixed_point(values: Sequence[float]) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))
