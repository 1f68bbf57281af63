"""Writes examples to TFRecord files. Imports TensorFlow only for writing."""

import errno
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from data_pipeline.encoding import EncodedExample
from data_pipeline.manifest import Shard
from picanet_tf.core.files import sha256_of


def write_shards(payloads: Iterator[bytes], folder: Path, size: int) -> list[Shard]:
    """Writes records to `folder`, at most `size` per file; raises as `write_shard`."""
    shards = []
    for first in payloads:
        rest = itertools.islice(payloads, size - 1)
        path = folder / f"{len(shards):05d}.tfrecord"
        shards.append(write_shard(itertools.chain([first], rest), path))
    return shards


def write_shard(payloads: Iterable[bytes], path: Path) -> Shard:
    """Writes records to one TFRecord file.

    Raises:
        OSError: if the file cannot be written, for example on a full disk.
    """
    import tensorflow as tf

    count = 0
    try:
        with tf.io.TFRecordWriter(os.fsencode(path)) as writer:
            for payload in payloads:
                writer.write(payload)
                count += 1
    except tf.errors.OpError as error:
        reason = error.message.rpartition("; ")[2]  # follows the file's name
        for number in errno.errorcode:
            if os.strerror(number) == reason:
                raise OSError(number, reason, str(path)) from error
        raise
    return Shard(path.name, count, path.stat().st_size, sha256_of(path))


def serialize(examples: Iterable[EncodedExample], kind: str) -> Iterator[bytes]:
    """Encodes examples as records.

    Args:
        examples: the examples.
        kind: kind of their ground truth, see `kinds`.
    """
    # Importing it takes seconds, in which the workers are already busy.
    from data_pipeline import schema

    for example in examples:
        yield schema.ENCODERS[kind](
            key=example.key,
            image=example.image,
            height=example.height,
            width=example.width,
            **example.truth,
        )
