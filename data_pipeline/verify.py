"""Reads every record of a converted data set and names what is wrong with it.

    python -m data_pipeline.verify data/duts

Checks counts, sizes and checksums against the manifest, and of every record its own
checksum, its fields, that image and mask decode, that their sizes agree, and that
classes and boxes can be.  Exit code 1 when anything is wrong; all problems are listed,
each with file and offset.
"""

import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_pipeline import cli
from data_pipeline.class_maps import IGNORE, VOC_CLASSES
from data_pipeline.errors import DatasetError, UserError
from data_pipeline.manifest import Manifest, Shard, load_manifest
from data_pipeline.objects import MAX_OBJECTS
from data_pipeline.tfrecord import Frame, read_frames
from picanet_tf.core.files import sha256_of

POSITIONAL = "DIR"


def verify(path: str | os.PathLike) -> tuple[Manifest, list[str]]:
    """Checks a data set.

    Returns:
        Its manifest, and one line for each problem: file, offset of the record if
        it is one record's, and what is wrong.  No line: all is well.

    Raises:
        DatasetError: the manifest is missing or unreadable.
    """
    manifest = load_manifest(path)
    check_record = record_checker(manifest)
    # Decoding, hashing and numpy leave Python's lock to others.
    with ThreadPoolExecutor() as executor:
        reports = executor.map(
            lambda shard: _check_shard(manifest.folder, shard, check_record),
            manifest.shards,
        )
        progress = tqdm(reports, total=len(manifest.shards), unit="shard", disable=None)
        reports = list(progress)
    problems = [problem for report, _ in reports for problem in report]
    problems += _unknown_files(manifest)
    problems += _repeated_keys(manifest, [keys for _, keys in reports])
    return manifest, problems


def _check_shard(
    folder: Path, shard: Shard, check_record: Callable[[bytes], str]
) -> tuple[list[str], list[tuple[str, int]]]:
    """The problems of one shard, and (key, offset) of each record."""
    path = folder / shard.file
    problems: list[str] = []
    keys: list[tuple[str, int]] = []
    if not path.is_file():
        return [f"{path}: missing, but listed in the manifest"], keys
    count = 0
    for frame, key, problem in checked_records(path, check_record):
        count += 1
        if problem:
            problems.append(f"{path}: offset {frame.offset}: {problem}")
        else:
            keys.append((key, frame.offset))
    size = path.stat().st_size
    if size != shard.bytes:
        problems.append(f"{path}: {size} bytes, the manifest says {shard.bytes}")
    elif sha256_of(path) != shard.sha256:
        problems.append(f"{path}: not the SHA-256 that the manifest says")
    if count != shard.count:
        problems.append(f"{path}: {count} records, the manifest says {shard.count}")
    return problems, keys


def checked_records(
    path: Path, check_record: Callable[[bytes], str]
) -> Iterator[tuple[Frame, str, str]]:
    """(frame, key, what is wrong) of each record of a shard; nothing wrong is ""."""
    for frame in read_frames(path):
        try:
            if frame.problem:
                raise ValueError(frame.problem)
            yield frame, check_record(frame.payload), ""
        except ValueError as error:
            yield frame, "", str(error)


def record_checker(manifest: Manifest) -> Callable[[bytes], str]:
    """A function: payload -> key; `ValueError` when anything is wrong with it."""
    if manifest.task not in _VALUE_CHECKS:
        raise DatasetError(
            f"{manifest.folder}: task must be one of {list(_VALUE_CHECKS)}. "
            f"Received: {manifest.task!r}"
        )
    return functools.partial(_check_picture, manifest.task)


def _check_picture(task: str, payload: bytes) -> str:
    import tensorflow as tf  # Seconds to import: not before the flags are checked.

    from data_pipeline import schema

    try:
        record = schema.DECODERS[task](tf.constant(payload))
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise ValueError(schema.reason_of(schema.message_of(error))) from error
    key = record["key"].numpy().decode(errors="replace")
    size = (int(record["height"]), int(record["width"]))
    for part in [part for part in ("image", "mask") if part in record]:
        shape = tuple(record[part].shape[:2])
        if shape != size:
            raise ValueError(
                f"{key}: the {part} is {shape[1]} x {shape[0]}, the record says "
                f"{size[1]} x {size[0]} (width x height)"
            )
    _VALUE_CHECKS[task](key, {name: value.numpy() for name, value in record.items()})
    return key


def _any_value(key: str, record: dict[str, np.ndarray]) -> None:
    """Every grey is some saliency."""


def _check_classes(key: str, record: dict[str, np.ndarray]) -> None:
    values = np.unique(record["mask"])
    wrong = values[(values >= len(VOC_CLASSES)) & (values != IGNORE)]
    if wrong.size:
        raise ValueError(
            f"{key}: {wrong[0]} is no class, which are 0..{len(VOC_CLASSES) - 1}, and "
            f"{IGNORE} for none"
        )


def _check_objects(key: str, record: dict[str, np.ndarray]) -> None:
    objects = record["objects"]
    if len(objects) > MAX_OBJECTS:
        raise ValueError(f"{key}: {len(objects)} objects, at most are {MAX_OBJECTS}")
    for number, (ymin, xmin, ymax, xmax, label, difficult) in enumerate(objects, 1):
        # Written so that NaN is no box.
        if not (0 <= ymin < ymax <= 1 and 0 <= xmin < xmax <= 1):
            raise ValueError(
                f"{key}: object {number} is no box in the image, which are 0..1: "
                f"ymin {ymin:g}, xmin {xmin:g}, ymax {ymax:g}, xmax {xmax:g}"
            )
        if not 1 <= label < len(VOC_CLASSES):
            raise ValueError(
                f"{key}: object {number}: {label:g} is no class of an object, which "
                f"are 1..{len(VOC_CLASSES) - 1}"
            )
        if difficult not in (0, 1):
            raise ValueError(
                f"{key}: object {number}: difficult is 0 or 1, not {difficult:g}"
            )


_VALUE_CHECKS = {
    "saliency": _any_value,
    "segmentation": _check_classes,
    "detection": _check_objects,
}


def _unknown_files(manifest: Manifest) -> Iterator[str]:
    known = {shard.file for shard in manifest.shards}
    for path in sorted(manifest.folder.glob("*.tfrecord")):
        if path.name not in known:
            yield f"{path}: not listed in the manifest"


def _repeated_keys(
    manifest: Manifest, keys: list[list[tuple[str, int]]]
) -> Iterator[str]:
    seen: dict[str, str] = {}
    for path, shard_keys in zip(manifest.paths, keys, strict=True):
        for key, offset in shard_keys:
            place = f"{path}: offset {offset}"
            if key in seen:
                yield f"{place}: key {key!r} is already at {seen[key]}"
            seen.setdefault(key, place)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        raise UserError(f"one DIR is wanted. Received: {arguments}")
    manifest, problems = verify(arguments[0])
    for problem in problems:
        print(problem)
    verdict = f"problems: {len(problems)}" if problems else "all well"
    print(f"{arguments[0]}: {manifest.summary()}: {verdict}")
    return 1 if problems else 0


if __name__ == "__main__":
    cli.run(main, positional=POSITIONAL)
