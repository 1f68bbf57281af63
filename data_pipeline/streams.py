"""Streams of serialized records: in order, or shuffled without end."""

import os

import tensorflow as tf

from data_pipeline.manifest import Manifest, load_manifest
from picanet_tf.core.errors import DatasetError

# Of encoded records held for shuffling; all of DUTS-TR, of 25 kB each, are 0.3 GB.
SHUFFLE_BYTES = 2**30
BATCHES_AHEAD = 2
_OPEN_FILES = 16


def open_dataset(path: str | os.PathLike, kind: str | None = None) -> Manifest:
    """Loads the manifest of a data set, and checks that its shards can be read.

    Args:
        path: folder that `python -m data_pipeline.convert` wrote.
        kind: that its ground truth must be of; None for any.

    Raises:
        DatasetError: `path` is missing, not a data set, empty or of another kind, or a
            shard is missing or has another size than the manifest says.
    """
    manifest = load_manifest(path)
    if kind:
        manifest.check_kind(kind)
    if manifest.count == 0:
        raise DatasetError(f"{manifest.folder}: the data set is empty")
    for shard, file in zip(manifest.shards, manifest.paths, strict=True):
        size = os.path.getsize(file) if os.path.isfile(file) else None
        if size is None:
            raise DatasetError(f"{file}: missing, but listed in the manifest")
        if size != shard.bytes:
            raise DatasetError(
                f"{file}: {size} bytes, the manifest says {shard.bytes}; "
                "`python -m data_pipeline.verify` says more"
            )
    return manifest


def read_in_order(manifest: Manifest) -> tf.data.Dataset:
    """Every serialized record once, in the data set's order."""
    records = tf.data.TFRecordDataset(_encode_paths(manifest))
    return records.apply(tf.data.experimental.assert_cardinality(manifest.count))


def read_shuffled(
    manifest: Manifest, seed: int, start: int, shuffle_window: int | None = None
) -> tf.data.Dataset:
    """Endless epochs, each shuffled anew.

    The whole set is shuffled, or if it has more bytes than `SHUFFLE_BYTES`, the shards
    and then windows of records with about as many bytes.

    Args:
        manifest: the data set.
        seed: of the order.
        start: position in the stream to begin at, in records.
        shuffle_window: how many records are shuffled at a time instead.

    Returns:
        A dataset of (position in the stream, serialized record).
    """
    window = shuffle_window or _window(manifest)
    epoch, position = divmod(start, manifest.count)
    epochs = tf.data.Dataset.range(epoch, tf.int64.max)
    files = tf.constant(_encode_paths(manifest))
    records = epochs.flat_map(
        lambda epoch: _shuffle_epoch(files, manifest.count, seed, epoch, window)
    )
    # Skipped as bytes: nothing is decoded, and less than one epoch is read.
    records = records.skip(position).enumerate(start)
    return records.apply(
        tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    )


def prefetch(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The last step of every reader: how it runs, and how far ahead of its consumer.

    A fixed number of batches: `prefetch(AUTOTUNE)` doubles its buffer whenever the
    consumer finds it empty, without limit, and fills it during the next pause, such as
    a validation.
    """
    options = tf.data.Options()
    options.deterministic = True
    # Autotune's thread sleeps for longer and longer, up to a minute, and TensorFlow
    # 2.21 does not always wake it when an iterator is deleted: 8 of 12 deletions had to
    # wait, up to 35 s. Without it, AUTOTUNE means one call a core, which reads as fast,
    # and TensorFlow adds no prefetch of its own behind a caller's `take` or `repeat`.
    options.autotune.enabled = False
    return dataset.prefetch(BATCHES_AHEAD).with_options(options)


def _window(manifest: Manifest) -> int:
    """How many records have about `SHUFFLE_BYTES`; at least one."""
    total = sum(shard.bytes for shard in manifest.shards)
    return max(1, min(manifest.count, manifest.count * SHUFFLE_BYTES // max(total, 1)))


def _encode_paths(manifest: Manifest) -> list[bytes]:
    # As the file system encodes them: TensorFlow refuses a `str` that is not UTF-8.
    return [os.fsencode(path) for path in manifest.paths]


def _shuffle_epoch(
    files: tf.Tensor, count: int, seed: int, epoch: tf.Tensor, window: int
) -> tf.data.Dataset:
    """One epoch of serialized records, in an order drawn from `seed` and `epoch`.

    Shards in random order, read in turns, then windows of records shuffled. Not
    `Dataset.shuffle`: its order also depends on the global seed, which
    `keras.utils.set_random_seed` sets for other reasons.
    """
    # Folded once more, since the augmentation draws from (seed, number).
    epoch_seed = tf.random.fold_in(tf.stack([seed, epoch]), epoch)
    files = tf.random.experimental.stateless_shuffle(files, seed=epoch_seed)
    records = tf.data.Dataset.from_tensor_slices(files).interleave(
        tf.data.TFRecordDataset, cycle_length=_OPEN_FILES, num_parallel_calls=None
    )
    # Without this, empty files would be searched for records for ever.
    records = records.apply(tf.data.experimental.assert_cardinality(count))

    def shuffle(number: tf.Tensor, records: tf.Tensor) -> tf.data.Dataset:
        window_seed = tf.random.fold_in(epoch_seed, number)
        # Indices are shuffled, since shuffled records would be a second copy.
        order = tf.random.experimental.stateless_shuffle(
            tf.range(tf.size(records)), seed=window_seed
        )
        return tf.data.Dataset.from_tensor_slices(order).map(lambda i: records[i])

    return records.batch(window).enumerate().flat_map(shuffle)
