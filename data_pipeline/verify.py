"""Checks every record of a converted data set and lists all problems.

    python -m data_pipeline.verify data/duts

Checks counts, sizes and checksums against the manifest. Of each record, it checks the
checksum and the features, that image and mask can be decoded and have the same size,
and that classes and boxes are valid. All problems are listed, each with its file and
offset; the exit code is then 1.
"""

import functools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_pipeline.annotations import MAX_OBJECTS
from data_pipeline.class_maps import find_invalid
from data_pipeline.kinds import BOXES, CLASS_MAP
from data_pipeline.manifest import Manifest, Shard, load_manifest
from data_pipeline.tfrecord import Frame, read_frames
from picanet_tf.core import cli
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import sha256_of
from picanet_tf.core.voc import CLASSES, IGNORE

POSITIONAL = "DIR"


def define_flags() -> None:
    """Defines no flags."""


def verify(path: str | os.PathLike) -> tuple[Manifest, list[str]]:
    """Checks a data set.

    Returns:
        Its manifest, and a line for each problem: the file, the offset if a record is
        concerned, and what is wrong.

    Raises:
        DatasetError: if the manifest is missing or unreadable.
    """
    manifest = load_manifest(path)
    check = functools.partial(_check_shard, manifest.folder, manifest.kind)
    # Threads suffice: decoding and hashing release Python's global lock.
    with ThreadPoolExecutor() as executor:
        reports = executor.map(check, manifest.shards)
        progress = tqdm(reports, total=len(manifest.shards), unit="shard", disable=None)
        reports = list(progress)
    problems = [problem for report, _ in reports for problem in report]
    problems += _find_unlisted_files(manifest)
    problems += _find_repeated_keys(manifest, [keys for _, keys in reports])
    return manifest, problems


def _check_shard(
    folder: Path, kind: str, shard: Shard
) -> tuple[list[str], list[tuple[str, int]]]:
    """Returns the problems of one shard, and (key, offset) of each good record."""
    path = folder / shard.file
    problems: list[str] = []
    keys: list[tuple[str, int]] = []
    if not path.is_file():
        return [f"{path}: missing, but listed in the manifest"], keys
    count = 0
    for frame, key, problem in check_records(path, kind):
        count += 1
        if problem:
            problems.append(f"{path}: offset {frame.offset}: {problem}")
        else:
            keys.append((key, frame.offset))
    size = path.stat().st_size
    if size != shard.bytes:
        problems.append(f"{path}: {size} bytes, the manifest says {shard.bytes}")
    elif sha256_of(path) != shard.sha256:
        problems.append(f"{path}: its SHA-256 differs from the manifest's")
    if count != shard.count:
        problems.append(f"{path}: {count} records, the manifest says {shard.count}")
    return problems, keys


def check_records(path: Path, kind: str) -> Iterator[tuple[Frame, str, str]]:
    """Checks each record of a shard; yields (frame, key, problem or "")."""
    for frame in read_frames(path):
        try:
            if frame.problem:
                raise ValueError(frame.problem)
            yield frame, check_record(frame.payload, kind), ""
        except ValueError as error:
            yield frame, "", str(error)


def check_record(payload: bytes, kind: str) -> str:
    """Checks a serialized record.

    Args:
        payload: the record.
        kind: kind of its ground truth, see `kinds`.

    Returns:
        Its key.

    Raises:
        ValueError: if the record is invalid; the message describes the problem.
    """
    import tensorflow as tf  # Takes seconds, so only after the flags are checked.

    from data_pipeline import schema

    try:
        record = schema.DECODERS[kind](tf.constant(payload))
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise ValueError(schema.describe_error(error)) from error
    key = os.fsdecode(record["key"].numpy())
    size = (int(record["height"]), int(record["width"]))
    for part in [part for part in ("image", "mask") if part in record]:
        shape = tuple(record[part].shape[:2])
        if shape != size:
            raise ValueError(
                f"{key}: the {part} is {shape[1]} x {shape[0]}, the record says "
                f"{size[1]} x {size[0]} (width x height)"
            )
    if kind == CLASS_MAP:
        _check_class_map(key, record["mask"].numpy())
    elif kind == BOXES:
        _check_objects(key, record["objects"].numpy())
    return key


def _check_class_map(key: str, class_map: np.ndarray) -> None:
    wrong = find_invalid(class_map)
    if wrong is not None:
        raise ValueError(
            f"{key}: {wrong} is not a class; classes are 0..{CLASSES - 1}, and "
            f"{IGNORE} for none"
        )


def _check_objects(key: str, objects: np.ndarray) -> None:
    if len(objects) > MAX_OBJECTS:
        raise ValueError(f"{key}: {len(objects)} objects, at most {MAX_OBJECTS} fit")
    for number, (ymin, xmin, ymax, xmax, label, difficult) in enumerate(objects, 1):
        # Written so that NaN fails.
        if not (0 <= ymin < ymax <= 1 and 0 <= xmin < xmax <= 1):
            raise ValueError(
                f"{key}: object {number} is not a box in the image, which spans 0..1: "
                f"ymin {ymin:g}, xmin {xmin:g}, ymax {ymax:g}, xmax {xmax:g}"
            )
        if not 1 <= label < CLASSES:
            raise ValueError(
                f"{key}: object {number}: {label:g} is not a class of objects; these "
                f"are 1..{CLASSES - 1}"
            )
        if difficult not in (0, 1):
            raise ValueError(
                f"{key}: object {number}: difficult must be 0 or 1. "
                f"Received: {difficult:g}"
            )


def _find_unlisted_files(manifest: Manifest) -> Iterator[str]:
    listed = {shard.file for shard in manifest.shards}
    for path in sorted(manifest.folder.glob("*.tfrecord")):
        # macOS leaves `._NAME` beside files on other systems' disks.
        if path.name not in listed and not path.name.startswith("._"):
            yield f"{path}: not listed in the manifest"


def _find_repeated_keys(
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
        raise PicanetError(
            f"expected one DIR. Received: {' '.join(arguments) or 'none'}"
        )
    manifest, problems = verify(arguments[0])
    for problem in problems:
        print(problem)
    verdict = f"problems: {len(problems)}" if problems else "all well"
    print(f"{arguments[0]}: {manifest.summary()}: {verdict}")
    return 1 if problems else 0


if __name__ == "__main__":
    cli.run(main, positional=POSITIONAL)
