"""Corrupt records are left out and reported; the others keep their order."""

import itertools
import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from data_pipeline.corrupt import leave_out_corrupt
from data_pipeline.readers import read_keys, read_masks
from data_pipeline.tfrecord import read_frames
from data_pipeline.verify import verify
from picanet_tf.core.errors import DatasetError
from picanet_tf.core.files import DiskFullError
from tests.data_pipeline.conftest import flip_bit

# `converted` has ten pairs in shards of 4, 4 and 2.


@pytest.fixture
def spoilt(converted, tmp_path):
    """The second record of the second shard has a wrong byte."""
    folder = shutil.copytree(converted, tmp_path / "data")
    path = folder / "00001.tfrecord"
    flip_bit(path, [frame.offset for frame in read_frames(path)][1] + 200)
    return str(folder)


def training(folder, steps: int, start_step: int = 0):
    dataset = read_masks(
        folder, batch_size=4, image_size=28, training=True, with_keys=True,
        start_step=start_step,
    )  # fmt: skip
    return list(itertools.islice(dataset.as_numpy_iterator(), steps))


def test_records_are_not_checked_unless_requested(spoilt):
    clean = leave_out_corrupt([spoilt, ""], 0, {})
    assert clean.paths == {spoilt: spoilt} and clean.left_out == {}


def test_intact_data_set_is_not_copied(converted):
    clean = leave_out_corrupt([str(converted)], 5, {})
    assert clean.paths == {str(converted): str(converted)}
    assert clean.left_out == {str(converted): []}


def test_corrupt_record_is_left_out_and_reported_once(spoilt, caplog):
    path = f"{spoilt}/00001.tfrecord"
    offset = [frame.offset for frame in read_frames(path)][1]
    with caplog.at_level(logging.WARNING, "absl"):
        clean = leave_out_corrupt([spoilt], 1, {})
    line = f"{path}: offset {offset}: wrong checksum"
    assert clean.left_out == {spoilt: [line]}
    assert caplog.messages == [f"left out: {line}"]
    expected = [f"im{number}" for number in range(10) if number != 5]
    assert list(read_keys(clean.paths[spoilt])) == expected
    assert verify(clean.paths[spoilt])[1] == []


def test_records_lost_behind_a_broken_header_are_counted(spoilt):
    flip_bit(Path(spoilt) / "00000.tfrecord", 3)
    with pytest.raises(
        DatasetError,
        match="5 corrupt records, `skip_corrupt` allows 4. The first: "
        ".*00000.tfrecord: "
        "offset 0: broken header",
    ):
        leave_out_corrupt([spoilt], 4, {})
    clean = leave_out_corrupt([spoilt], 5, {})
    assert list(read_keys(clean.paths[spoilt])) == ["im4", "im6", "im7", "im8", "im9"]
    assert clean.left_out[spoilt][3].endswith("record 3: lost behind a broken header")


def test_a_resumed_run_gets_the_same_batches(spoilt):
    first = leave_out_corrupt([spoilt], 1, {})
    # Another process: another copy, no flag, but what the run has recorded.
    again = leave_out_corrupt([spoilt], 0, first.left_out)
    assert first.paths[spoilt] != again.paths[spoilt]
    whole = training(first.paths[spoilt], 6)
    resumed = training(again.paths[spoilt], 3, start_step=3)
    for batch, other in zip(whole[3:], resumed, strict=True):
        for part, other_part in zip(batch, other, strict=True):
            np.testing.assert_array_equal(part, other_part)


def test_new_damage_on_resuming_must_be_allowed(spoilt, caplog):
    before = leave_out_corrupt([spoilt], 1, {}).left_out
    flip_bit(Path(spoilt) / "00002.tfrecord", 200)
    with pytest.raises(
        DatasetError, match="2 corrupt records, `skip_corrupt` allows 1"
    ):
        leave_out_corrupt([spoilt], 0, before)
    with caplog.at_level(logging.WARNING, "absl"):
        clean = leave_out_corrupt([spoilt], 2, before)
    assert len(clean.left_out[spoilt]) == 2
    assert "the order of the data changes from here" in caplog.text


def test_different_damage_on_resuming_is_an_error(spoilt):
    with pytest.raises(
        DatasetError,
        match="than when the run began; give `skip_corrupt`",
    ):
        leave_out_corrupt([spoilt], 0, {spoilt: ["another line"]})


def test_redirected_readers_read_the_clean_copy(spoilt):
    clean = leave_out_corrupt([spoilt], 1, {})
    read = clean.redirect(read_masks)
    assert read(spoilt, batch_size=3, training=False).cardinality() == 3


def test_full_disk_error_names_the_copy(spoilt, monkeypatch):
    writer = tf.io.TFRecordWriter
    monkeypatch.setattr(tf.io, "TFRecordWriter", lambda _: writer("/dev/full"))
    with pytest.raises(DiskFullError) as raised:
        leave_out_corrupt([spoilt], 1, {})
    assert re.fullmatch(
        r"Cannot write \S+/records-\S+: No space left on device; set the "
        "environment variable TMPDIR to another folder",
        str(raised.value),
    )
