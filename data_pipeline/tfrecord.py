"""Reads TFRecord files frame by frame, to give the offset of a bad record.

A frame is `length (uint64) | masked CRC of length | payload | masked CRC of payload`,
little endian. TensorFlow's reader stops at the first bad frame and does not name its
file; this one continues as long as the lengths can be trusted.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Frame:
    """One record.

    Attributes:
        offset: position of its frame in the file, in bytes.
        payload: the serialized record; empty if it cannot be read.
        problem: what is wrong with it; "" if nothing is.
    """

    offset: int
    payload: bytes
    problem: str = ""


def read_frames(path: str | os.PathLike) -> Iterator[Frame]:
    """Yields every frame of a file, bad ones with `problem` set.

    Reading continues after a payload with a wrong checksum. After a broken header or a
    truncated frame, no further frame can be found: it is the last one yielded.
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
    """Computes the checksum that TFRecord stores: CRC-32C, rotated and offset."""
    # Imported here, so that `--help` needs only the packages required for prediction.
    import google_crc32c

    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _has_checksum(data: bytes, checksum: bytes) -> bool:
    return struct.pack("<I", masked_crc32c(data)) == checksum
