"""Converted data sets -> `tf.data`: (image RGB 0..255, ground truth in natural units).

Each task has one `read_<task>`, which puts three parts together: a stream of
serialized records (`_training_records` or `_records`), the task's decoder in
`schema`, and its transforms in `augment`.
"""

import contextlib
import os
from collections.abc import Callable, Iterator

import tensorflow as tf

from data_pipeline import augment, augment_boxes, schema
from data_pipeline.errors import DatasetError
from data_pipeline.manifest import Manifest, load_manifest

# Encoded records held for shuffling: of DUTS-TR (25 kB each) about 50 MB.
SHUFFLE_WINDOW = 2048
_OPEN_FILES = 16
_BATCHES_AHEAD = 2


def read_saliency(
    path: str | os.PathLike,
    *,
    batch_size: int,
    training: bool,
    image_size: int = 224,
    seed: int = 0,
    start_step: int = 0,
    share: tuple[int, int] = (0, 1),
    drop_remainder: bool = False,
    with_keys: bool = False,
    shuffle_window: int = SHUFFLE_WINDOW,
) -> tf.data.Dataset:
    """Batches of images and masks.

    Training: endless, shuffled anew every epoch, augmented (`augment.train_pair`);
    epochs follow each other without a seam, so every batch is full.  What comes is a
    function of the data and `seed` alone: `start_step=k` gives exactly the batches
    that an uninterrupted run gives from step k on, without reading the epochs before.

    Evaluation: once through the data set in its own order, each image resized straight
    to `image_size`; the last batch is as small as it is, unless `drop_remainder`.

    Args:
        path: folder that `python -m data_pipeline.convert` wrote.
        batch_size: images in a batch, of all replicas together.
        training: which of the two.
        image_size: side of image and mask.
        seed: of order and augmentation; training only.
        start_step: batches to leave out at the beginning; training only.
        share: (worker, workers): of each batch the worker's part alone, its images
            `worker * batch_size / workers` and on, so that the workers' parts are
            together the batch of one; training only. Every worker passes over the
            others' records, as bytes.
        drop_remainder: evaluation only.
        with_keys: also give each example's key, its file name without extension.
        shuffle_window: records shuffled at a time; shards are shuffled as well.

    Returns:
        A dataset of `(image, mask)` or `(image, mask, key)`:
        image: float32 `(batch_size, image_size, image_size, 3)`, RGB, 0..255;
        mask: float32 `(batch_size, image_size, image_size, 1)`, 0..1, grey as stored;
        key: string `(batch_size,)`.
        Its cardinality is known: infinite, or the number of batches.

    Raises:
        ValueError: an argument out of its range.
        DatasetError: `path` is missing, no data set, empty, of another task, or lacks
            a shard.
    """
    return _read(
        "saliency",
        _saliency_example,
        path,
        batch_size=batch_size,
        training=training,
        image_size=image_size,
        seed=seed,
        start_step=start_step,
        share=share,
        drop_remainder=drop_remainder,
        with_keys=with_keys,
        shuffle_window=shuffle_window,
    )


def read_segmentation(path: str | os.PathLike, **options) -> tf.data.Dataset:
    """Batches of images and class maps: as `read_saliency`, with these differences.

    Training: augmented by `augment.train_classes`. Evaluation: each image whole, in the
    upper left of a square (`augment.fit_classes`).

    Args:
        path, **options: of `read_saliency`; `image_size` is 321 by default.

    Returns:
        A dataset of `(image, classes)` or `(image, classes, key)`:
        classes: uint8 `(batch_size, image_size, image_size, 1)`, the class of each
        pixel, 255 for none.
    """
    options = {"image_size": 321, **options}
    return _read("segmentation", _segmentation_example, path, **options)


def read_detection(path: str | os.PathLike, **options) -> tf.data.Dataset:
    """Batches of images and objects: as `read_saliency`, with these differences.

    Training: augmented by `augment_boxes.train_objects`.

    Args:
        path, **options: of `read_saliency`; `image_size` is 300 by default.

    Returns:
        A dataset of `(image, objects)` or `(image, objects, key)`:
        objects: float32 `(batch_size, MAX_OBJECTS, 6)`: ymin, xmin, ymax, xmax
        relative to the image, 0..1, label 1..20, difficult 0 or 1; rows behind an
        image's objects are zeros.
    """
    options = {"image_size": 300, **options}
    return _read("detection", _detection_example, path, **options)


def _saliency_example(fields, training, image_size, seed):
    image, mask = fields["image"], fields["mask"]
    if training:
        image, mask = augment.train_pair(image, mask, image_size=image_size, seed=seed)
    else:
        image, mask = augment.resize(image, mask, image_size)
    return image, tf.cast(mask, tf.float32) / 255.0


def _segmentation_example(fields, training, image_size, seed):
    image, classes = fields["image"], fields["mask"]
    if training:
        return augment.train_classes(image, classes, image_size=image_size, seed=seed)
    return augment.fit_classes(image, classes, image_size)


def _detection_example(fields, training, image_size, seed):
    image, objects = fields["image"], fields["objects"]
    if training:
        return augment_boxes.train_objects(
            image, objects, image_size=image_size, seed=seed
        )
    return augment_boxes.fit_objects(image, objects, image_size)


def _read(
    task: str,
    make_example: Callable,
    path: str | os.PathLike,
    *,
    batch_size: int,
    training: bool,
    image_size: int,
    seed: int = 0,
    start_step: int = 0,
    share: tuple[int, int] = (0, 1),
    drop_remainder: bool = False,
    with_keys: bool = False,
    shuffle_window: int = SHUFFLE_WINDOW,
) -> tf.data.Dataset:
    """The batches of any task; what an example is, `make_example` says."""
    _check_arguments(
        batch_size=batch_size, image_size=image_size, shuffle_window=shuffle_window
    )
    if start_step < 0 or (start_step and not training):
        raise ValueError(
            "`start_step` must be 0, or positive when training. "
            f"Received: start_step={start_step}, training={training}"
        )
    worker, workers = share
    if batch_size % workers or not 0 <= worker < workers:
        raise ValueError(
            "`share` must be a worker's number and how many there are, which divides "
            f"`batch_size`. Received: share={share}, batch_size={batch_size}"
        )
    part = batch_size // workers
    manifest = _open(path, task)

    def example(index: tf.Tensor, serialized: tf.Tensor) -> tuple[tf.Tensor, ...]:
        fields = schema.of_one_size(schema.DECODERS[task](serialized))
        draws = tf.stack([seed, index])
        image, truth = make_example(fields, training, image_size, draws)
        return (image, truth, fields["key"]) if with_keys else (image, truth)

    if training:
        records = _training_records(
            manifest, seed, start_step * batch_size, shuffle_window
        )
        if workers > 1:
            records = records.filter(
                lambda index, _: index % batch_size // part == worker
            )
    else:
        records = _records(manifest).enumerate()
    dataset = records.map(example, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(
        part if training else batch_size, drop_remainder=training or drop_remainder
    )
    return _finished(dataset)


def read_saliency_originals(path: str | os.PathLike) -> tf.data.Dataset:
    """Images and masks one by one at their own sizes, in order, for scoring.

    Returns:
        A dataset of dicts, as `schema.decode_saliency` gives them: `key`, `height`,
        `width`, `image` uint8 `(height, width, 3)`, `mask` uint8 `(height, width, 1)`.

    Raises:
        DatasetError: as `read_saliency`.
    """
    return read_originals(path, "saliency")


def read_originals(path: str | os.PathLike, task: str) -> tf.data.Dataset:
    """As `read_saliency_originals`; what `mask` is depends on the task, for detection

    there are `objects` instead, see `schema.decode_detection`.
    """
    records = _records(_open(path, task))
    decode = schema.DECODERS[task]
    dataset = records.map(
        lambda serialized: schema.of_one_size(decode(serialized)),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return _finished(dataset)


def read_keys(path: str | os.PathLike) -> Iterator[str]:
    """The keys of a data set of any task, in order; decodes no picture.

    Raises:
        DatasetError: as `read_saliency`.
    """
    manifest = _open(path, load_manifest(path).task)
    records = _finished(_records(manifest).map(schema.decode_key))
    return map(os.fsdecode, records.as_numpy_iterator())


@contextlib.contextmanager
def errors_named(*folders: str) -> Iterator[None]:
    """Turns what TensorFlow says of a record into a `DatasetError`, in one line.

    Args:
        folders: the data sets that are read inside; empty names are passed over.
    """
    try:
        yield
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        message = schema.message_of(error)
        if "IteratorGetNext" not in message:
            raise
        raise DatasetError(
            f"{' or '.join(filter(None, folders))}: {schema.reason_of(message)}; "
            "`python -m data_pipeline.verify` names the record"
        ) from error


def _open(path: str | os.PathLike, task: str) -> Manifest:
    """The manifest, once it is sure that its shards can be read."""
    manifest = load_manifest(path)
    if manifest.task != task:
        raise DatasetError(
            f"{manifest.folder}: a {task} data set is wanted, this is for "
            f"{manifest.task}"
        )
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


def _records(manifest: Manifest) -> tf.data.Dataset:
    """Every serialized record once, in order."""
    records = tf.data.TFRecordDataset(_files(manifest))
    return records.apply(tf.data.experimental.assert_cardinality(manifest.count))


def _files(manifest: Manifest) -> list[bytes]:
    # As the file system spells them: TensorFlow refuses a `str` that is no UTF-8.
    return [os.fsencode(path) for path in manifest.paths]


def _training_records(
    manifest: Manifest, seed: int, start: int, shuffle_window: int
) -> tf.data.Dataset:
    """Endless (position in the stream, serialized record) from position `start` on."""
    epoch, position = divmod(start, manifest.count)
    epochs = tf.data.Dataset.range(epoch, tf.int64.max)
    files = tf.constant(_files(manifest))
    records = epochs.flat_map(
        lambda epoch: _shuffled_epoch(
            files, manifest.count, seed, epoch, shuffle_window
        )
    )
    # Passed over as bytes: nothing is decoded, and less than one epoch is read.
    records = records.skip(position).enumerate(start)
    return records.apply(
        tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    )


def _shuffled_epoch(
    files: tf.Tensor, count: int, seed: int, epoch: tf.Tensor, window: int
) -> tf.data.Dataset:
    """One epoch of serialized records, in an order drawn from `seed` and `epoch`.

    Shards in random order, read in turns, then windows of records shuffled.  Not
    `Dataset.shuffle`: its order also depends on the global seed, which
    `keras.utils.set_random_seed` sets for other reasons.
    """
    # Folded once more, since (seed, number) is what the augmentation draws from.
    epoch_seed = tf.random.fold_in(tf.stack([seed, epoch]), epoch)
    files = tf.random.experimental.stateless_shuffle(files, seed=epoch_seed)
    records = tf.data.Dataset.from_tensor_slices(files).interleave(
        tf.data.TFRecordDataset, cycle_length=_OPEN_FILES, num_parallel_calls=None
    )
    # Endless epochs of no records would be sought through for ever.
    records = records.apply(tf.data.experimental.assert_cardinality(count))

    def shuffled(number: tf.Tensor, records: tf.Tensor) -> tf.data.Dataset:
        window_seed = tf.random.fold_in(epoch_seed, number)
        # The numbers are shuffled, since shuffled records would be a second copy.
        order = tf.random.experimental.stateless_shuffle(
            tf.range(tf.size(records)), seed=window_seed
        )
        return tf.data.Dataset.from_tensor_slices(order).map(lambda i: records[i])

    return records.batch(window).enumerate().flat_map(shuffled)


def _finished(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The end of every reader: how it runs, and how far ahead of its consumer.

    By a number: `prefetch(AUTOTUNE)` doubles its buffer whenever a consumer finds it
    empty, without end, and fills it in the next pause, such as a validation.
    """
    options = tf.data.Options()
    options.deterministic = True
    # Its thread sleeps ever longer, up to a minute, and TensorFlow 2.21 does not always
    # wake it when an iterator is deleted: 8 of 12 were waited for, up to 35 s. Without
    # it, AUTOTUNE is one call a core, which reads as fast, and no prefetch of its own
    # is put behind the `take` or `repeat` of a caller.
    options.autotune.enabled = False
    return dataset.prefetch(_BATCHES_AHEAD).with_options(options)


def _check_arguments(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")


# {task: its reader}
READERS = {
    "saliency": read_saliency,
    "segmentation": read_segmentation,
    "detection": read_detection,
}
