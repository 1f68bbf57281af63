"""Converted data sets -> `tf.data`: (image RGB 0..255, ground truth in natural units).

A reader combines three parts: a stream of serialized records (`streams`), the decoder
for the kind of ground truth (`schema`), and its augmentation (`augment`,
`augment_boxes`).
"""

import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf

from data_pipeline import augment, augment_boxes, schema, streams
from data_pipeline.kinds import BOXES, CLASS_MAP, MASK
from picanet_tf.core.errors import DatasetError


def read_masks(path: str | os.PathLike, **options) -> tf.data.Dataset:
    """Reads batches of images and masks.

    For training, they are augmented by `augment.augment_mask`; for evaluation, resized
    to `image_size`, by default 224.

    Args:
        path: see `read_batches`.
        **options: options of `read_batches`.

    Returns:
        See `read_batches`. The ground truth is the mask, float32 `(batch_size,
        image_size, image_size, 1)`, 0..1, grey as stored.
    """
    return read_batches(path, MASK, **{"image_size": 224, **options})


def read_class_maps(path: str | os.PathLike, **options) -> tf.data.Dataset:
    """Reads batches of images and class maps.

    For training, they are augmented by `augment.augment_class_map`; for evaluation,
    placed in the top left corner of a square, by default of 321 pixels, by
    `augment.fit_class_map`.

    Args:
        path: see `read_batches`.
        **options: options of `read_batches`.

    Returns:
        See `read_batches`. The ground truth is the class of each pixel, uint8
        `(batch_size, image_size, image_size, 1)`, 255 for none.
    """
    return read_batches(path, CLASS_MAP, **{"image_size": 321, **options})


def read_boxes(path: str | os.PathLike, **options) -> tf.data.Dataset:
    """Reads batches of images and objects.

    For training, they are augmented by `augment_boxes.augment_boxes`; for evaluation,
    images are resized to `image_size`, by default 300.

    Args:
        path: see `read_batches`.
        **options: options of `read_batches`.

    Returns:
        See `read_batches`. The ground truth is the objects, float32 `(batch_size,
        MAX_OBJECTS, 6)`: ymin, xmin, ymax, xmax relative to the image, 0..1, label
        1..20, difficult 0 or 1; padded with rows of zeros.
    """
    return read_batches(path, BOXES, **{"image_size": 300, **options})


# {kind of ground truth: its reader}
READERS = {MASK: read_masks, CLASS_MAP: read_class_maps, BOXES: read_boxes}


def read_batches(
    path: str | os.PathLike,
    kind: str,
    *,
    batch_size: int,
    training: bool,
    image_size: int,
    seed: int = 0,
    start_step: int = 0,
    share: tuple[int, int] = (0, 1),
    drop_remainder: bool = False,
    with_keys: bool = False,
    random_scale: bool = False,
    shuffle_window: int | None = None,
) -> tf.data.Dataset:
    """Reads batches of images and ground truth of any kind.

    For training, the batches are infinite, reshuffled every epoch, and augmented. A
    batch may span two epochs, so all are full. They depend only on the data and `seed`:
    `start_step=k` gives exactly the batches that an uninterrupted run gets from step k
    on, without reading the epochs before it.

    For evaluation, the data set is read once, in its own order. The last batch may be
    smaller, unless `drop_remainder`.

    Args:
        path: folder written by `python -m data_pipeline.convert`.
        kind: kind of the ground truth, see `kinds`.
        batch_size: images per batch, over all workers.
        training: whether to read for training or for evaluation.
        image_size: side of images, masks and class maps, in pixels.
        seed: seed of order and augmentation; training only.
        start_step: number of batches to skip; training only.
        share: (worker, number of workers), to read only the worker's part of each
            batch, from image `worker * batch_size / workers` on. The parts of all
            workers form the batch that a single worker reads. The others' records are
            skipped without decoding. Training only.
        drop_remainder: whether to drop an incomplete last batch; evaluation only.
        with_keys: whether to return the keys, which are file names without extension.
        random_scale: whether to scale at random, see `augment.augment_class_map`; for
            training on class maps only.
        shuffle_window: number of records shuffled at a time, besides the shards; None
            for as many as have about `streams.SHUFFLE_BYTES`.

    Returns:
        A dataset of `(image, truth)` or `(image, truth, key)`:
        image: float32 `(batch_size, image_size, image_size, 3)`, RGB, 0..255;
        truth: see `read_masks`, `read_class_maps` and `read_boxes`;
        key: string `(batch_size,)`.
        Its cardinality is known: infinite, or the number of batches.

    Raises:
        ValueError: if an argument is out of range.
        DatasetError: see `streams.open_dataset`.
    """
    window = 1 if shuffle_window is None else shuffle_window
    _check_positive(batch_size=batch_size, image_size=image_size, shuffle_window=window)
    if start_step < 0 or (start_step and not training):
        raise ValueError(
            "`start_step` must be 0, or positive when training. "
            f"Received: start_step={start_step}, training={training}"
        )
    worker, workers = share
    if not 0 <= worker < workers or batch_size % workers:
        raise ValueError(
            "`share` must be (worker, number of workers), and the latter must divide "
            f"`batch_size`. Received: share={share}, batch_size={batch_size}"
        )
    if random_scale and not (training and kind == CLASS_MAP):
        raise ValueError("`random_scale` is for the training on class maps")
    part = batch_size // workers
    manifest = streams.open_dataset(path, kind)

    def make_example(index: tf.Tensor, serialized: tf.Tensor) -> tuple[tf.Tensor, ...]:
        record = schema.check_sizes(schema.DECODERS[kind](serialized))
        draw = tf.stack([seed, index])
        options = {"random_scale": random_scale} if random_scale else {}
        image, truth = _EXAMPLES[kind](record, training, image_size, draw, **options)
        return (image, truth, record["key"]) if with_keys else (image, truth)

    if training:
        records = streams.read_shuffled(
            manifest, seed, start_step * batch_size, shuffle_window
        )
        if workers > 1:
            records = records.filter(
                lambda index, _: index % batch_size // part == worker
            )
    else:
        records = streams.read_in_order(manifest).enumerate()
    dataset = records.map(make_example, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(
        part if training else batch_size, drop_remainder=training or drop_remainder
    )
    return streams.prefetch(dataset)


def read_originals(path: str | os.PathLike, kind: str) -> tf.data.Dataset:
    """Reads images and ground truth one by one at their own sizes, in order.

    Args:
        path: folder written by `python -m data_pipeline.convert`.
        kind: kind of the ground truth, see `kinds`.

    Returns:
        A dataset of dicts, as returned by `schema.DECODERS[kind]`.

    Raises:
        DatasetError: see `streams.open_dataset`.
    """
    records = streams.read_in_order(streams.open_dataset(path, kind))
    decode = schema.DECODERS[kind]
    dataset = records.map(
        lambda serialized: schema.check_sizes(decode(serialized)),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return streams.prefetch(dataset)


def read_keys(path: str | os.PathLike) -> Iterator[str]:
    """Reads the keys of a data set of any kind, in order, without decoding images.

    Raises:
        DatasetError: see `streams.open_dataset`.
    """
    records = streams.read_in_order(streams.open_dataset(path))
    keys = streams.prefetch(records.map(schema.decode_key))
    return map(os.fsdecode, keys.as_numpy_iterator())


@contextlib.contextmanager
def translate_errors(*folders: str) -> Iterator[None]:
    """Context manager that converts TensorFlow's errors for bad records.

    Args:
        *folders: the data sets that are read inside it; empty names are ignored.

    Raises:
        DatasetError: instead of these errors, with a message of one line.
    """
    try:
        yield
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        if "IteratorGetNext" not in schema.raw_message(error):
            raise
        raise DatasetError(
            f"{' or '.join(filter(None, folders))}: {schema.describe_error(error)}; "
            "`python -m data_pipeline.verify` names the record"
        ) from error


def _mask_example(record, training, image_size, seed):
    image, mask = record["image"], record["mask"]
    if training:
        image, mask = augment.augment_mask(
            image, mask, image_size=image_size, seed=seed
        )
    else:
        image, mask = augment.resize(image, mask, image_size)
    return image, tf.cast(mask, tf.float32) / 255.0


def _class_map_example(record, training, image_size, seed, random_scale=False):
    image, class_map = record["image"], record["mask"]
    if training:
        return augment.augment_class_map(
            image,
            class_map,
            image_size=image_size,
            seed=seed,
            random_scale=random_scale,
        )
    return augment.fit_class_map(image, class_map, image_size)


def _boxes_example(record, training, image_size, seed):
    image, objects = record["image"], record["objects"]
    if training:
        return augment_boxes.augment_boxes(
            image, objects, image_size=image_size, seed=seed
        )
    return augment_boxes.fit_boxes(image, objects, image_size)


# (record, training, image_size, seed) -> (image, truth)
_EXAMPLES = {MASK: _mask_example, CLASS_MAP: _class_map_example, BOXES: _boxes_example}


def _check_positive(**numbers: int) -> None:
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
