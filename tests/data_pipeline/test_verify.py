import dataclasses
import shutil

import pytest
import tensorflow as tf

from data_pipeline import schema
from data_pipeline.errors import DatasetError
from data_pipeline.manifest import load_manifest, save_manifest, sha256_of
from data_pipeline.tfrecord import read_frames
from data_pipeline.verify import verify


@pytest.fixture
def data(converted, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(converted, tmp_path / "data")


def rewrite(data, index: int, payloads: list[bytes]) -> None:
    """Replaces a shard, and has the manifest agree."""
    manifest = load_manifest(data)
    path = manifest.paths[index]
    with tf.io.TFRecordWriter(path) as writer:
        for payload in payloads:
            writer.write(payload)
    shard = dataclasses.replace(
        manifest.shards[index],
        count=len(payloads),
        bytes=(data / path).stat().st_size,
        sha256=sha256_of(path),
    )
    shards = list(manifest.shards)
    shards[index] = shard
    count = sum(shard.count for shard in shards)
    save_manifest(dataclasses.replace(manifest, shards=tuple(shards), count=count))


def test_a_good_data_set_has_no_problems(data):
    manifest, problems = verify(data)
    assert problems == [] and manifest.count == 10


def test_a_corrupt_record_is_named_with_file_and_offset(data):
    path = data / "00001.tfrecord"
    offsets = [frame.offset for frame in read_frames(path)]
    content = bytearray(path.read_bytes())
    content[offsets[2] + 300] ^= 0xFF
    path.write_bytes(content)
    _, problems = verify(data)
    assert problems == [
        f"{path}: offset {offsets[2]}: wrong checksum",
        f"{path}: not the SHA-256 that the manifest says",
    ]


def test_a_truncated_a_missing_and_an_unknown_shard(data):
    content = (data / "00000.tfrecord").read_bytes()
    (data / "00000.tfrecord").write_bytes(content[:-7])
    last = [frame.offset for frame in read_frames(data / "00000.tfrecord")][-1]
    (data / "00002.tfrecord").rename(data / "other.tfrecord")
    _, problems = verify(data)
    assert len(problems) == 4
    assert problems[0].startswith(f"{data}/00000.tfrecord: offset {last}: truncated")
    assert f"{len(content) - 7} bytes, the manifest says {len(content)}" in problems[1]
    assert problems[2].endswith("00002.tfrecord: missing, but listed in the manifest")
    assert problems[3].endswith("other.tfrecord: not listed in the manifest")


def test_what_is_in_the_records(data):
    frames = [frame.payload for frame in read_frames(data / "00002.tfrecord")]
    small = tf.io.encode_png(tf.zeros([2, 3, 1], tf.uint8)).numpy()
    colour = tf.io.encode_png(tf.zeros([2, 3, 3], tf.uint8)).numpy()
    example = {"key": "odd", "image": colour, "mask": small, "height": 2, "width": 3}
    wrong = [
        {**example, "image": b"text"},
        {**example, "mask": tf.io.encode_png(tf.zeros([3, 3, 1], tf.uint8)).numpy()},
        {**example, "height": 4},
    ]
    payloads = [schema.encode_saliency(**fields) for fields in wrong]
    rewrite(data, 2, [frames[0], *payloads, b"no example", frames[0]])
    _, problems = verify(data)
    assert len(problems) == 5
    decode, mask, height, parse, repeated = problems
    assert "JPEG" in decode
    assert "the mask is 3 x 3, the record says 3 x 2 (width x height)" in mask
    assert "the image is 3 x 2, the record says 3 x 4" in height
    assert "parse" in parse
    assert f"key 'im8' is already at {data}/00002.tfrecord: offset 0" in repeated


def test_counts_against_the_manifest(data):
    manifest = load_manifest(data)
    more = dataclasses.replace(manifest.shards[0], count=5)
    save_manifest(
        dataclasses.replace(manifest, shards=(more, *manifest.shards[1:]), count=11)
    )
    _, problems = verify(data)
    assert problems == [f"{data}/00000.tfrecord: 4 records, the manifest says 5"]


def test_no_data_set(tmp_path):
    with pytest.raises(DatasetError, match="no such data set folder"):
        verify(tmp_path / "none")
    with pytest.raises(DatasetError, match="no manifest.json"):
        verify(tmp_path)
    for text, rule in (
        ("{", "cannot be read"),
        ("[]", "format_version must be 1"),
        ('{"format_version": 2}', "format_version must be 1.*Received: 2"),
        ('{"format_version": 1}', "a field is missing or wrong: 'shards'"),
        (
            '{"format_version": 1, "name": "a", "task": "saliency", "count": 3, '
            '"shards": []}',
            "count is 3, but its shards hold 0",
        ),
    ):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(DatasetError, match=rule):
            verify(tmp_path)
