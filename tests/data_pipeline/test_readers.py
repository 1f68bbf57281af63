import dataclasses
import itertools
import json
import os
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from data_pipeline import shards, streams
from data_pipeline.kinds import MASK
from data_pipeline.manifest import Manifest, load_manifest, save_manifest
from data_pipeline.readers import (
    read_keys,
    read_masks,
    read_originals,
    translate_errors,
)
from picanet_tf.core.errors import DatasetError, PicanetError
from tests.data_pipeline.conftest import (
    flip_bit,
    picture,
    read_payloads,
    rewrite_shard,
)

# `converted` has ten pairs in three shards; 24 x 32 pixels, mask = red channel.
BATCH = 4
EPOCH = 10


def training(folder, steps, **options):
    arguments = {"batch_size": BATCH, "image_size": 28, "seed": 7, **options}
    dataset = read_masks(folder, training=True, with_keys=True, **arguments)
    return list(itertools.islice(dataset.as_numpy_iterator(), steps))


def keys(batches) -> list[str]:
    return [key.decode() for *_, batch in batches for key in batch]


def assert_equal(one, other):
    assert len(one) == len(other)
    for parts in zip(one, other, strict=True):
        for part, other_part in zip(*parts, strict=True):
            np.testing.assert_array_equal(part, other_part)


def test_evaluation_reads_once_in_order(converted):
    dataset = read_masks(
        converted, batch_size=BATCH, training=False, image_size=40, with_keys=True
    )
    assert dataset.cardinality() == 3
    batches = list(dataset.as_numpy_iterator())
    assert [len(key) for *_, key in batches] == [4, 4, 2]
    assert keys(batches) == [f"im{number}" for number in range(10)]
    image, mask, _ = batches[0]
    assert image.shape == (4, 40, 40, 3) and image.dtype == np.float32
    assert mask.shape == (4, 40, 40, 1) and mask.dtype == np.float32
    array = picture(2)
    expected = tf.image.resize(array, (40, 40))
    np.testing.assert_array_equal(image[2], expected)
    assert image.max() > 200  # 0..255, not 0..1
    expected = tf.image.resize(array[..., :1], (40, 40), method="nearest") / 255
    np.testing.assert_allclose(mask[2], expected, rtol=1e-6)


def test_evaluation_may_drop_the_remainder(converted):
    dataset = read_masks(
        converted, batch_size=BATCH, training=False, drop_remainder=True
    )
    assert dataset.cardinality() == 2
    image, mask = dataset.element_spec
    assert image.shape == (4, 224, 224, 3) and mask.shape == (4, 224, 224, 1)


def test_training_is_endless_and_every_batch_full(converted):
    dataset = read_masks(converted, batch_size=BATCH, training=True)
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    image, mask = dataset.element_spec
    assert image == tf.TensorSpec((4, 224, 224, 3), tf.float32)
    assert mask == tf.TensorSpec((4, 224, 224, 1), tf.float32)


def test_every_epoch_holds_every_record_once_in_another_order(converted):
    stream = keys(training(converted, 10))
    epochs = [stream[start : start + EPOCH] for start in range(0, 40, EPOCH)]
    for epoch in epochs:
        assert sorted(epoch) == sorted(f"im{number}" for number in range(10))
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_a_window_smaller_than_the_data_set_loses_nothing(converted):
    stream = keys(training(converted, 5, shuffle_window=3))
    assert sorted(stream[:EPOCH]) == sorted(stream[EPOCH:])
    assert len(set(stream)) == EPOCH


def numbers(folder, epochs=1):
    """Those of 3,000 records in shards of 100, as they are shuffled."""
    manifest = load_manifest(folder)
    stream = streams.read_shuffled(manifest, 0, 0).take(epochs * manifest.count)
    return np.array([int(record) for _, record in stream.as_numpy_iterator()])


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbered")
    payloads = (b"%d" % number for number in range(3000))
    written = shards.write_shards(payloads, folder, 100)
    save_manifest(Manifest(folder, "numbers", "mask", 3000, tuple(written)))
    return folder


def test_small_data_set_is_shuffled_as_a_whole(numbered):
    first, second = numbers(numbered, 2).reshape(2, 3000)
    for epoch in (first, second):
        assert sorted(epoch) == list(range(3000))
        # Each of 100 windows of 30 has numbers of all over the set: the mean of a
        # uniform draw is 1500, give or take 158.
        means = epoch.reshape(100, 30).mean(axis=1)
        assert np.abs(means - 1500).max() < 5 * 158
        assert np.abs(np.corrcoef(epoch[:-1], epoch[1:])[0, 1]) < 0.1
    together = set(first[:300]) & set(second[:300])  # 30 by chance
    assert len(together) < 70


def test_large_data_set_is_shuffled_in_windows(numbered, monkeypatch):
    size = sum(shard.bytes for shard in load_manifest(numbered).shards)
    monkeypatch.setattr(streams, "SHUFFLE_BYTES", size // 4)
    epoch = numbers(numbered)
    assert sorted(epoch) == list(range(3000))
    # The first quarter is of the shards that are open at once, out of 30.
    assert len({number // 100 for number in epoch[:740]}) == 16


def test_masks_follow_their_images(converted):
    # The mask is the red channel, at 32 x 32 nearest against bilinear: not equal,
    # but far closer than any other place, let alone its mirror image.
    for image, mask, _ in training(converted, 5):
        red = image[..., 0] / 255
        difference = np.abs(red - mask[..., 0]).mean()
        mirrored = np.abs(red[:, :, ::-1] - mask[..., 0]).mean()
        assert difference < 0.5 * mirrored


def test_the_same_seed_gives_the_same_stream(converted):
    first = training(converted, 6)
    tf.keras.utils.set_random_seed(123)  # Is nothing to us.
    assert_equal(first, training(converted, 6))
    other = training(converted, 6, seed=8)
    assert keys(first) != keys(other)


@pytest.mark.parametrize("start_step", range(8))
def test_start_step_continues_an_uninterrupted_run(converted, start_step):
    whole = training(converted, 10)  # Four epochs of ten, in batches of four.
    resumed = training(converted, 10 - start_step, start_step=start_step)
    assert_equal(whole[start_step:], resumed)


def test_start_step_holds_for_windows_too(converted):
    whole = training(converted, 8, shuffle_window=4)
    assert_equal(whole[6:], training(converted, 2, start_step=6, shuffle_window=4))


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("start_step", [0, 3])
def test_shares_of_the_workers_make_up_the_batch(converted, workers, start_step):
    """Over three epochs of shards of different sizes: the batches of one worker."""
    whole = training(converted, 8, start_step=start_step)
    shares = [
        training(converted, 8, start_step=start_step, share=(worker, workers))
        for worker in range(workers)
    ]
    assert all(len(part[0][-1]) == BATCH // workers for part in shares)
    joined = [
        tuple(np.concatenate(parts) for parts in zip(*step, strict=True))
        for step in zip(*shares, strict=True)
    ]
    assert_equal(joined, whole)


def test_a_late_start_reads_no_earlier_epochs(converted):
    # A million epochs on; it would take minutes to read through them.
    (batch,) = training(converted, 1, start_step=2_500_000)
    assert batch[0].shape == (4, 28, 28, 3)


def test_views_differ_between_epochs(converted):
    views = {}
    for image, _, batch_keys in training(converted, 10):
        for view, key in zip(image, batch_keys, strict=True):
            views.setdefault(key, []).append(view)
    for seen in views.values():
        assert len(seen) == 4 and len({view.tobytes() for view in seen}) > 1


def test_originals_keep_their_size(converted):
    found = list(read_originals(converted, MASK).as_numpy_iterator())
    assert len(found) == 10
    np.testing.assert_array_equal(found[3]["image"], picture(3))
    np.testing.assert_array_equal(found[3]["mask"], picture(3)[..., :1])


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"image_size": 0},
        {"shuffle_window": 0},
        {"start_step": -1},
        {"start_step": 1, "training": False},
        {"share": (1, 1)},
        {"share": (0, 2)},
    ],
)
def test_invalid_arguments_are_rejected(converted, wrong):
    arguments = {"batch_size": 1, "training": True, **wrong}
    name = next(iter(wrong))
    with pytest.raises(ValueError, match=f"`{name}` must be.*Received: {name}="):
        read_masks(converted, **arguments)


def test_unusable_data_sets_are_reported(converted, tmp_path):
    def spoiled(**changes):
        folder = tmp_path / "data"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(converted, folder)
        content = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**content, **changes}))
        return folder

    def expect(folder, rule):
        with pytest.raises(DatasetError, match=rule) as raised:
            read_masks(folder, batch_size=1, training=True)
        assert isinstance(raised.value, PicanetError)
        assert "\n" not in str(raised.value)

    expect(tmp_path / "none", "no such data set folder")
    expect(tmp_path, "no manifest.json")
    expect(spoiled(kind="boxes"), "/data: holds boxes, but masks are required$")
    expect(
        spoiled(kind="class_map"), "/data: holds class maps, but masks are required$"
    )
    expect(spoiled(format_version=1), "format version 1, .* convert .* once more$")
    expect(spoiled(count=0, shards=[]), "the data set is empty")
    folder = spoiled()
    with open(folder / "00001.tfrecord", "ab") as file:
        file.write(b"x")
    expect(folder, "00001.tfrecord: .* bytes, the manifest says .*verify")
    (folder / "00001.tfrecord").unlink()
    expect(folder, "00001.tfrecord: missing")


def rewritten(folder, copy, change):
    """A copy of a data set that differs in its second record alone."""
    shutil.copytree(folder, copy)
    payloads = read_payloads(copy)[: load_manifest(copy).shards[0].count]
    example = tf.train.Example.FromString(payloads[1])
    change(example.features.feature)
    payloads[1] = example.SerializeToString()
    rewrite_shard(copy, 0, payloads)
    return copy


def swapped(features):
    parts = [features[name].bytes_list for name in ("image/encoded", "mask/encoded")]
    image, mask = (part.value[0] for part in parts)
    parts[0].value[0], parts[1].value[0] = mask, image


def another_mask(features):
    other = tf.io.encode_png(tf.zeros([32, 24, 1], tf.uint8)).numpy()
    features["mask/encoded"].bytes_list.value[0] = other


def another_size(features):
    features["image/width"].int64_list.value[0] = 33


def no_image(features):
    features["image/encoded"].bytes_list.value[0] = b"text"


def foreign(features):
    del features["mask/encoded"]


def test_keys_are_read_without_a_picture(converted, tmp_path):
    expected = [f"im{number}" for number in range(EPOCH)]
    assert list(read_keys(converted)) == expected
    spoilt = rewritten(converted, tmp_path / "data", no_image)
    assert list(read_keys(spoilt)) == expected


@pytest.mark.parametrize(
    "change, reason",
    [
        (no_image, "Unknown image file format. One of JPEG, .* required."),
        (foreign, "Feature: mask/encoded .* is required but could not be found."),
        (swapped, "assertion failed: .the mask is not an 8-bit grey PNG."),
        (another_mask, r".* differ in .height, width.. .24 32. .32 24. .24 32."),
        (another_size, r".* differ in .height, width.. .24 32. .24 32. .24 33."),
    ],
)
def test_bad_records_are_reported_in_one_line(converted, tmp_path, change, reason):
    spoilt = rewritten(converted, tmp_path / "data", change)
    with pytest.raises(DatasetError) as raised, translate_errors(str(spoilt), ""):
        list(read_originals(spoilt, MASK).as_numpy_iterator())
    told = f"{spoilt}: {reason}; `python -m data_pipeline.verify` names the record"
    assert re.fullmatch(told, str(raised.value))


def test_wrong_checksum_is_reported_in_one_line(converted, tmp_path):
    shutil.copytree(converted, tmp_path / "data")
    flip_bit(tmp_path / "data" / "00000.tfrecord", 100)
    dataset = read_masks(tmp_path / "data", batch_size=2, training=True)
    with pytest.raises(DatasetError) as raised, translate_errors("a", "b"):
        next(iter(dataset))
    assert str(raised.value).startswith("a or b: corrupted record at 12; ")


def test_other_tensorflow_errors_are_not_translated():
    with pytest.raises(tf.errors.InvalidArgumentError), translate_errors("data"):
        tf.reshape(tf.zeros([3]), [2])


def test_autotuning_is_disabled(converted):
    """The autotuner's thread may sleep on for half a minute."""
    for dataset in (
        read_masks(converted, batch_size=1, training=True),
        read_masks(converted, batch_size=1, training=False),
        read_originals(converted, MASK),
    ):
        assert dataset.options().autotune.enabled is False


def emptied(folder, copy):
    """A copy whose shards hold nothing, as its manifest says, whose counts lie."""
    shutil.copytree(folder, copy)
    manifest = load_manifest(copy)
    shards = tuple(dataclasses.replace(shard, bytes=0) for shard in manifest.shards)
    for path in manifest.paths:
        open(path, "wb").close()
    save_manifest(dataclasses.replace(manifest, shards=shards))
    return copy


@pytest.mark.parametrize("training", [True, False])
def test_files_without_records_are_an_error_and_no_hang(converted, tmp_path, training):
    folder = emptied(converted, tmp_path / "data")
    dataset = read_masks(folder, batch_size=2, training=training)
    with pytest.raises(DatasetError, match="expected to contain 10 elements"):
        with translate_errors(str(folder)):
            next(iter(dataset))


def test_binary_garbage_in_a_record_is_reported_printably(converted, tmp_path):
    """TensorFlow quotes it; no UTF-8, it would be a `UnicodeDecodeError`."""
    folder = shutil.copytree(converted, tmp_path / "data")
    rewrite_shard(folder, 0, [b"\xff\xfe" * 500] * 4)
    with pytest.raises(DatasetError) as raised, translate_errors(str(folder)):
        next(read_keys(folder))
    told = str(raised.value)
    assert re.match(rf"{folder}: Unable to parse binary protobuf; `python", told)
    assert told.isprintable() and len(told) < 500


def test_folder_with_a_non_utf8_name_is_read(converted, tmp_path):
    folder = shutil.copytree(converted, tmp_path / os.fsdecode(b"caf\xe9"))
    assert len(list(read_keys(folder))) == EPOCH
    (batch,) = training(folder, 1)
    assert batch[0].shape == (4, 28, 28, 3)
