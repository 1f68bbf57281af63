"""Image files that Pillow does not write, byte by byte."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Mapping, Sequence

from PIL import Image

GREY, RGB, PALETTE, GREY_ALPHA = 0, 2, 3, 4  # PNG's colour types


def encoded(image: Image.Image, file_format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def png(
    bits: int,
    colour_type: int,
    width: int,
    rows: Sequence[bytes],
    chunks: Mapping[bytes, bytes] = {},
) -> bytes:
    """A PNG of packed rows, with `chunks` ahead of its pixels."""
    header = struct.pack(">IIBBBBB", width, len(rows), bits, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", header), *chunks.items(), (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


# Red, green and blue in XYZ relative to D50, as the profiles of Apple and Adobe hold
# them; of sRGB, as IEC 61966-2-1's ICC profile does.
DISPLAY_P3 = (
    0.51512,
    0.2412,
    -0.00105,
    0.29198,
    0.69225,
    0.04189,
    0.1571,
    0.06657,
    0.78407,
)
ADOBE_RGB = (
    0.60974,
    0.31111,
    0.01947,
    0.20528,
    0.62567,
    0.06087,
    0.14919,
    0.06322,
    0.74457,
)
SRGB = (
    *(0.43607, 0.22249, 0.01392),
    *(0.38515, 0.71687, 0.09708),
    *(0.14307, 0.06061, 0.7141),
)
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def rgb_profile(colorants: Sequence[float], curve: Sequence[float]) -> bytes:
    """An ICC profile of three colorants and a curve: (gamma,) or ICC's function 3."""
    tags = {
        name: b"XYZ \0\0\0\0" + _fixed(colorants[3 * number : 3 * number + 3])
        for number, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))
    }
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(curve))
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def grey_profile(gamma: float) -> bytes:
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _curve((gamma,))})


def cmyk_profile(lab_of_inks: Mapping[tuple[int, ...], Sequence[float]]) -> bytes:
    """A printer's profile: the L*a*b* of the 16 combinations of (C, M, Y, K)."""
    corners = itertools.product((0, 1), repeat=4)
    lab = [lab_of_inks[corner] for corner in corners]
    nodes = bytes(
        min(255, round(value))
        for lightness, a, b in lab
        for value in (lightness * 2.55, a + 128, b + 128)
    )
    ramp = bytes(range(256))
    head = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + _fixed((1, 0, 0, 0, 1, 0, 0, 0, 1))
    table = head + ramp * 4 + nodes + ramp * 3
    tags = dict.fromkeys((b"A2B0", b"A2B1"), table)
    return _profile(b"prtr", b"CMYK", b"Lab ", tags)


def _profile(kind: bytes, space: bytes, connection: bytes, tags: Mapping) -> bytes:
    white = b"XYZ \0\0\0\0" + _fixed((0.9642, 1, 0.8249))
    tags = {b"wtpt": white, **tags}
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        place = 128 + 4 + 12 * len(tags) + len(body)
        table += name + struct.pack(">II", place, len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12s4s", 132 + len(table) - 4 + len(body), b"", 0x02400000, kind,
        space, connection, b"", b"acsp",
    )  # fmt: skip
    header = header.ljust(68, b"\0") + _fixed((0.9642, 1, 0.8249))
    return header.ljust(128, b"\0") + table + body


def _curve(parameters: Sequence[float]) -> bytes:
    kind = 0 if len(parameters) == 1 else 3
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + _fixed(parameters)


def _fixed(values: Sequence[float]) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(v * 65536) for v in values))
