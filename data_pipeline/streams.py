"""Streams of serialized records: in order, or infinite and shuffled."""

import os

import tensorflow as tf

from data_pipeline.manifest import Manifest, load_manifest
from picanet_tf.core.errors import DatasetError

# Maximum size of the encoded records held for shuffling; those of DUTS-TR, 25 kB each,
# have 0.3 GB.
SHUFFLE_BYTES = 2**30
BATCHES_AHEAD = 2
_OPEN_FILES = 16


def open_dataset(path: str | os.PathLike, kind: str | None = None) -> Manifest:
    """Loads the manifest of a data set, and checks that its shards can be read.

    Args:
        path: folder written by `python -m data_pipeline.convert`.
        kind: required kind of the ground truth; None for any.

    Raises:
        DatasetError: if `path` is missing, not a data set, empty or of another kind, or
            a shard is missing or differs in size from the manifest.
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
                "`python -m data_pipeline.verify` gives details"
            )
    return manifest


def read_in_order(manifest: Manifest) -> tf.data.Dataset:
    """Reads every serialized record once, in the data set's order."""
    records = tf.data.TFRecordDataset(_encode_paths(manifest))
    return records.apply(tf.data.experimental.assert_cardinality(manifest.count))


def read_shuffled(
    manifest: Manifest, seed: int, start: int, shuffle_window: int | None = None
) -> tf.data.Dataset:
    """Reads epochs without end, each in another order.

    The whole set is shuffled or, if it has more bytes than `SHUFFLE_BYTES`, its shards,
    and then windows of records with about as many bytes.

    Args:
        manifest: the data set.
        seed: seed of the order.
        start: position in the stream to begin at, in records.
        shuffle_window: number of records in a window; None for as many as above.

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
    """Completes a reader: it reads a fixed number of batches ahead, in order.

    `prefetch(AUTOTUNE)` would double its buffer whenever the consumer finds it empty,
    without limit, and fill it during the next pause, such as a validation.
    """
    options = tf.data.Options()
    options.deterministic = True
    # Autotune's thread sleeps for longer and longer, up to a minute, and TensorFlow
    # 2.21 does not always wake it when an iterator is deleted: 8 of 12 deletions had to
    # wait, up to 35 s. Without it, AUTOTUNE means one call per core, which reads as
    # fast, and TensorFlow adds no prefetch of its own after a caller's `take` or
    # `repeat`.
    options.autotune.enabled = False
    return dataset.prefetch(BATCHES_AHEAD).with_options(options)


def _window(manifest: Manifest) -> int:
    """Returns the number of records that have about `SHUFFLE_BYTES`; at least 1."""
    total = sum(shard.bytes for shard in manifest.shards)
    return max(1, min(manifest.count, manifest.count * SHUFFLE_BYTES // max(total, 1)))


def _encode_paths(manifest: Manifest) -> list[bytes]:
    # As the file system encodes them: TensorFlow rejects a `str` that is not UTF-8.
    return [os.fsencode(path) for path in manifest.paths]


def _shuffle_epoch(
    files: tf.Tensor, count: int, seed: int, epoch: tf.Tensor, window: int
) -> tf.data.Dataset:
    """Reads one epoch of serialized records, in an order drawn from `seed` and `epoch`.

    The shards are read in turns, in random order, and windows of their records are
    shuffled. Not by `Dataset.shuffle`, whose order also depends on the global seed,
    which `keras.utils.set_random_seed` sets for other reasons.
    """
    # Folded once more, since the augmentation draws from (seed, number).
    epoch_seed = tf.random.fold_in(tf.stack([seed, epoch]), epoch)
    files = tf.random.experimental.stateless_shuffle(files, seed=epoch_seed)
    records = tf.data.Dataset.from_tensor_slices(files).interleave(
        tf.data.TFRecordDataset, cycle_length=_OPEN_FILES, num_parallel_calls=None
    )
    # Otherwise, empty files would be searched for records for ever.
    records = records.apply(tf.data.experimental.assert_cardinality(count))

    def shuffle(number: tf.Tensor, records: tf.Tensor) -> tf.data.Dataset:
        window_seed = tf.random.fold_in(epoch_seed, number)
        # Indices are shuffled, since shuffled records would be a second copy.
        order = tf.random.experimental.stateless_shuffle(
            tf.range(tf.size(records)), seed=window_seed
        )
        return tf.data.Dataset.from_tensor_slices(order).map(lambda i: records[i])

    return records.batch(window).enumerate().flat_map(shuffle)
