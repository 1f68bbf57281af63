"""Reads TFRecord files frame by frame, so that a bad record has an offset.

A frame is `length (uint64) | masked CRC of length | payload | masked CRC of payload`,
little endian. TensorFlow's reader stops at the first bad frame and does not say in
which file; this one goes on as long as the lengths can be trusted.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Frame:
    """One record: where its frame begins, and its payload or what is wrong."""

    offset: int
    payload: bytes
    problem: str = ""


def read_frames(path: str | os.PathLike) -> Iterator[Frame]:
    """Yields every frame of a file, bad ones with `problem` set.

    Reading goes on after a payload with a wrong checksum. After a broken header or a
    truncated frame nothing can be found any more: that frame is the last one.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        offset = 0
        while header := file.read(12):
            if len(header) < 12 or not _has_checksum(header[:8], header[8:]):
                yield Frame(offset, b"", "broken header; the rest cannot be read")
                return
            (length,) = struct.unpack("<Q", header[:8])
            end = offset + 12 + length + 4
            if end > size:
                yield Frame(
                    offset, b"", f"truncated: ends at {end}, the file at {size}"
                )
                return
            payload, checksum = file.read(length), file.read(4)
            problem = "" if _has_checksum(payload, checksum) else "wrong checksum"
            yield Frame(offset, payload, problem)
            offset = end


def masked_crc32c(data: bytes) -> int:
    """The checksum that TFRecord stores: CRC-32C, rotated and offset."""
    # Here, so that `--help` needs no package beside those that predict.
    import google_crc32c

    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _has_checksum(data: bytes, checksum: bytes) -> bool:
    return struct.pack("<I", masked_crc32c(data)) == checksum
