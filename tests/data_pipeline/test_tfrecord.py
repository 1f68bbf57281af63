import os
import struct

import pytest
import tensorflow as tf

from data_pipeline.tfrecord import masked_crc32c, read_frames
from tests.data_pipeline.conftest import flip_bit

PAYLOADS = [b"one", b"", os.urandom(1000), b"four"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for payload in PAYLOADS:
            writer.write(payload)
    return path


@pytest.mark.parametrize(
    "data, crc32c",
    [
        (b"123456789", 0xE3069283),  # the check value of CRC-32C
        (bytes(32), 0x8A9136AA),  # RFC 3720, B.4
        (bytes(range(32)), 0x46DD794E),
        (b"", 0),
    ],
)
def test_masked_checksums_match_the_crc32c_standard(data, crc32c):
    """Masked as in TensorFlow's lib/hash/crc32c.h: rotated by 15 bits, and offset."""
    rotated = crc32c >> 15 | crc32c << 17 & 0xFFFFFFFF
    assert masked_crc32c(data) == (rotated + 0xA282EAD8) % 2**32


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 31, 64, 65, 1000, 4097])
def test_masked_checksums_match_tensorflow(tmp_path, length):
    data = os.urandom(length)
    with tf.io.TFRecordWriter(str(tmp_path / "a")) as writer:
        writer.write(data)
    content = (tmp_path / "a").read_bytes()
    assert content[:8] == struct.pack("<Q", length)
    assert content[8:12] == struct.pack("<I", masked_crc32c(content[:8]))
    assert content[-4:] == struct.pack("<I", masked_crc32c(data))


def test_reads_what_tensorflow_wrote(file):
    frames = list(read_frames(file))
    assert [frame.payload for frame in frames] == PAYLOADS
    assert [frame.offset for frame in frames] == [0, 19, 35, 1051]
    assert not any(frame.problem for frame in frames)


def test_bad_payload_is_reported_and_skipped(file):
    flip_bit(file, 35 + 12 + 500)
    assert [frame.problem for frame in read_frames(file)] == [
        "",
        "",
        "wrong checksum",
        "",
    ]


def test_a_bad_header_ends_the_file(file):
    flip_bit(file, 19)
    *_, last = read_frames(file)
    assert last.offset == 19 and "broken header" in last.problem


@pytest.mark.parametrize("kept, offset", [(1060, 1051), (1052, 1051), (40, 35)])
def test_truncated_file_is_reported(file, kept, offset):
    file.write_bytes(file.read_bytes()[:kept])
    *_, last = read_frames(file)
    assert last.offset == offset and last.problem


def test_an_absurd_length_with_a_right_checksum_is_not_read(tmp_path):
    length = struct.pack("<Q", 1 << 60)
    header = length + struct.pack("<I", masked_crc32c(length))
    (tmp_path / "a").write_bytes(header + b"rest")
    (frame,) = read_frames(tmp_path / "a")
    assert "truncated" in frame.problem
