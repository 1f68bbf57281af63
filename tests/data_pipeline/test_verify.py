import dataclasses
import json
import os
import shutil

import pytest
import tensorflow as tf

from data_pipeline import schema
from data_pipeline import verify as command
from data_pipeline.kinds import MASK
from data_pipeline.manifest import load_manifest, save_manifest
from data_pipeline.readers import read_originals, translate_errors
from data_pipeline.tfrecord import read_frames
from data_pipeline.verify import verify
from picanet_tf.core.errors import DatasetError, PicanetError
from tests.data_pipeline.conftest import flip_bit, rewrite_shard


@pytest.fixture
def data(converted, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(converted, tmp_path / "data")


def test_a_good_data_set_has_no_problems(data):
    manifest, problems = verify(data)
    assert problems == [] and manifest.count == 10


def test_a_corrupt_record_is_named_with_file_and_offset(data):
    path = data / "00001.tfrecord"
    offsets = [frame.offset for frame in read_frames(path)]
    flip_bit(path, offsets[2] + 300)
    _, problems = verify(data)
    assert problems == [
        f"{path}: offset {offsets[2]}: wrong checksum",
        f"{path}: its SHA-256 differs from the manifest's",
    ]


def test_truncated_missing_and_unknown_shards_are_reported(data):
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


def test_metadata_files_of_macos_are_ignored(data):
    for name in ("._00000.tfrecord", "._manifest.json", ".DS_Store"):
        (data / name).write_bytes(b"\0\5\26\7")
    assert verify(data)[1] == []


def test_invalid_record_contents_are_reported(data):
    frames = [frame.payload for frame in read_frames(data / "00002.tfrecord")]
    small = tf.io.encode_png(tf.zeros([2, 3, 1], tf.uint8)).numpy()
    colour = tf.io.encode_png(tf.zeros([2, 3, 3], tf.uint8)).numpy()
    example = {"key": "odd", "image": colour, "mask": small, "height": 2, "width": 3}
    wrong = [
        {**example, "image": b"text"},
        {**example, "mask": tf.io.encode_png(tf.zeros([3, 3, 1], tf.uint8)).numpy()},
        {**example, "height": 4},
    ]
    payloads = [schema.encode_mask_record(**fields) for fields in wrong]
    rewrite_shard(data, 2, [frames[0], *payloads, b"no example", frames[0]])
    _, problems = verify(data)
    assert len(problems) == 5
    decode, mask, height, parse, repeated = problems
    assert "JPEG" in decode
    assert "the mask is 3 x 3, the record says 3 x 2 (width x height)" in mask
    assert "the image is 3 x 2, the record says 3 x 4" in height
    assert "parse" in parse
    assert f"key 'im8' is already at {data}/00002.tfrecord: offset 0" in repeated


def test_different_non_utf8_keys_are_not_duplicates(data):
    small = tf.io.encode_png(tf.zeros([2, 3, 1], tf.uint8)).numpy()
    colour = tf.io.encode_png(tf.zeros([2, 3, 3], tf.uint8)).numpy()
    example = {"image": colour, "mask": small, "height": 2, "width": 3}
    keys = map(os.fsdecode, (b"\xff", b"\xfe"))
    payloads = [schema.encode_mask_record(key=key, **example) for key in keys]
    rewrite_shard(data, 2, payloads)
    assert verify(data)[1] == []


def test_record_counts_are_checked_against_the_manifest(data):
    manifest = load_manifest(data)
    more = dataclasses.replace(manifest.shards[0], count=5)
    save_manifest(
        dataclasses.replace(manifest, shards=(more, *manifest.shards[1:]), count=11)
    )
    _, problems = verify(data)
    assert problems == [f"{data}/00000.tfrecord: 4 records, the manifest says 5"]


def test_folders_without_a_valid_manifest_are_rejected(tmp_path):
    with pytest.raises(DatasetError, match="no such data set folder"):
        verify(tmp_path / "none")
    with pytest.raises(DatasetError, match="no manifest.json"):
        verify(tmp_path)
    for text, rule in (
        ("{", "cannot be read"),
        ("[]", "format version None, but only 2 can be read"),
        ('{"format_version": 1}', "format version 1, but only 2 can .* once more$"),
        ('{"format_version": true}', "format version True, but only 2 can be read"),
        ('{"format_version": 2}', "a field is missing or wrong: 'shards'"),
        (
            '{"format_version": 2, "name": "a", "kind": "mask", "count": 3, '
            '"shards": []}',
            "count is 3, but its shards hold 0",
        ),
    ):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(DatasetError, match=rule):
            verify(tmp_path)


GOOD = {"file": "0.tfrecord", "count": 1, "bytes": 1, "sha256": ""}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"file": "../0.tfrecord"}, "must be a file in this folder. Received: '../0"),
        ({"file": "/etc/hostname"}, "must be a file in this folder. Received: '/etc"),
        ({"file": ".."}, "must be a file in this folder"),
        ({"file": "a\0b"}, "must be a file in this folder"),
        ({"file": "\ud800"}, "must be a file in this folder"),
        ({"file": 3}, "'file' must be str, is 3"),
        ({"count": True}, "'count' must be int, is True"),
        ({"count": -1}, "'count' must be 0 or more, is -1"),
        ({"bytes": 1.0}, "'bytes' must be int, is 1.0"),
        ({"count": 2**63}, "'count' must be 0 or more, is 9"),
        ({"kind": ["mask"]}, "'kind' must be str"),
        ({"kind": "pose"}, "kind must be one of mask, class_map, boxes.*: 'pose'"),
        ({"name": None}, "'name' must be str"),
        ({"shards": [GOOD, GOOD], "count": 2}, "lists the shard '0.tfrecord' twice"),
        (
            {
                "shards": [
                    {**GOOD, "sha256": "ab"},
                    {**GOOD, "file": "1.tfrecord", "sha256": "ab"},
                ],
                "count": 2,
            },
            "two of its shards have the same SHA-256",
        ),
    ],
)
def test_invalid_manifest_fields_are_rejected(tmp_path, change, rule):
    content = {
        "format_version": 2, "name": "a", "kind": "mask", "count": 1,
        "shards": [{**GOOD, **{k: v for k, v in change.items() if k in GOOD}}],
    }  # fmt: skip
    content |= {k: v for k, v in change.items() if k not in GOOD or k == "count"}
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=rule) as raised:
        load_manifest(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path}/manifest.json: ")


def test_deeply_nested_manifest_is_rejected(tmp_path):
    (tmp_path / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(DatasetError, match="manifest.json: cannot be read"):
        load_manifest(tmp_path)


def test_unknown_kind_is_reported_with_its_folder(data):
    save_manifest(dataclasses.replace(load_manifest(data), kind="pose"))
    with pytest.raises(DatasetError, match=f"{data}/manifest.json: kind must .*'pose'"):
        verify(data)


def test_the_command_may_be_called_again(data, capsys):
    for _ in range(2):
        assert command.main([str(data)]) == 0
        told = capsys.readouterr().out
        assert told == f"{data}: ten, masks, 10 records in 3 shards: all well\n"
    flip_bit(data / "00000.tfrecord", 100)
    assert command.main([str(data)]) == 1
    assert capsys.readouterr().out.endswith("3 shards: problems: 2\n")
    with pytest.raises(PicanetError, match="expected one DIR"):
        command.main([])


def test_length_beyond_32_bits_is_reported_without_a_crash(data):
    """TensorFlow's own parser of examples reads beyond such a record's end."""
    frames = [frame.payload for frame in read_frames(data / "00002.tfrecord")]
    example = schema.encode_mask_record(
        key="long", image=b"x" * 200, mask=b"y", height=1, width=1
    )
    assert example.count(b"\n\xc8\x01" + b"x" * 200) == 1
    spoilt = example.replace(
        b"\n\xc8\x01" + b"x" * 200, b"\n\x8a\xff\xff\xff\xff\x20" + b"x" * 196
    )
    assert len(spoilt) == len(example)
    rewrite_shard(data, 2, [frames[0], spoilt])
    _, problems = verify(data)
    assert len(problems) == 1 and "Unable to parse binary protobuf" in problems[0]
    with (
        pytest.raises(DatasetError, match="Unable to parse"),
        translate_errors(str(data)),
    ):
        list(read_originals(data, MASK).as_numpy_iterator())
