import os
import struct

import pytest
import tensorflow as tf

from data_pipeline.tfrecord import crc32c, masked_crc32c, read_frames

PAYLOADS = [b"one", b"", os.urandom(1000), b"four"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for payload in PAYLOADS:
            writer.write(payload)
    return path


def test_crc32c_of_the_standard():
    assert crc32c(b"123456789") == 0xE3069283  # The check value of CRC-32C.
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"") == 0


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 31, 64, 65, 1000, 4097])
def test_crc32c_of_any_length_equals_the_loop_over_bytes(length):
    data = os.urandom(length)
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    assert crc32c(data) == register ^ 0xFFFFFFFF


def test_reads_what_tensorflow_wrote(file):
    frames = list(read_frames(file))
    assert [frame.payload for frame in frames] == PAYLOADS
    assert [frame.offset for frame in frames] == [0, 19, 35, 1051]
    assert not any(frame.problem for frame in frames)


def test_a_bad_payload_is_named_and_passed_over(file):
    data = bytearray(file.read_bytes())
    data[35 + 12 + 500] ^= 1
    file.write_bytes(data)
    assert [frame.problem for frame in read_frames(file)] == [
        "",
        "",
        "wrong checksum",
        "",
    ]


def test_a_bad_header_ends_the_file(file):
    data = bytearray(file.read_bytes())
    data[19] ^= 1
    file.write_bytes(data)
    *_, last = read_frames(file)
    assert last.offset == 19 and "broken header" in last.problem


@pytest.mark.parametrize("kept, offset", [(1060, 1051), (1052, 1051), (40, 35)])
def test_a_truncated_file(file, kept, offset):
    file.write_bytes(file.read_bytes()[:kept])
    *_, last = read_frames(file)
    assert last.offset == offset and last.problem


def test_an_absurd_length_with_a_right_checksum_is_not_read(tmp_path):
    length = struct.pack("<Q", 1 << 60)
    header = length + struct.pack("<I", masked_crc32c(length))
    (tmp_path / "a").write_bytes(header + b"rest")
    (frame,) = read_frames(tmp_path / "a")
    assert "truncated" in frame.problem
