"""Corrupt records left out of a data set, each told, so that training can go on.

TensorFlow cannot read past a bad record, and `ignore_errors` drops the rest of its file
without a word.  So the records are looked through first, as `verify` does, and a shard
with bad ones is copied without them; the rest of the data set is linked to.  The same
bad records always leave the same data set, so a run resumes exactly.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from absl import logging
from tqdm import tqdm

from data_pipeline.errors import DatasetError
from data_pipeline.manifest import (
    Manifest,
    Shard,
    load_manifest,
    save_manifest,
)
from data_pipeline.verify import checked_records, record_checker
from picanet_tf.core.files import sha256_of


@dataclass(frozen=True)
class Clean:
    """Data sets without their corrupt records.

    Attributes:
        reading: {folder: the one to read, which may vanish with this process}.
        left_out: {folder: a line for each record left out}, of those looked through.
    """

    reading: Mapping[str, str]
    left_out: Mapping[str, list[str]]

    def around(self, read: Callable) -> Callable:
        """A reader, which then reads what is in a folder's place."""
        return lambda folder, **options: read(self.reading[folder], **options)


def without_corrupt(folders: Iterable[str], most: int, recorded: Mapping) -> Clean:
    """Finds what to read in place of data sets that have corrupt records.

    Args:
        folders: data sets; empty names are passed over.
        most: corrupt records of each that are left out; 0 looks for none.
        recorded: of a run that goes on, what it keeps; the records that are in its
            `left_out` may be left out again whatever `most` is.

    Raises:
        DatasetError: more records are corrupt, or a data set is missing or lacks a
            shard; or, when `most` is 0, other records than recorded.
    """
    reading, left_out = {}, {}
    for folder in filter(None, folders):
        before = recorded.get("left_out", {}).get(folder, [])
        reading[folder] = folder
        if not most and not before:
            continue
        allowed = max(most, len(before))
        reading[folder], found = _without_corrupt(folder, allowed)
        if before and found != before:
            told = f"{folder}: not the corrupt records that the run began with, {{}}"
            if not most:
                raise DatasetError(told.format("--skip_corrupt N goes on all the same"))
            logging.warning(told.format("the order of the data is another from here"))
        left_out[folder] = found
    return Clean(reading, left_out)


def _without_corrupt(folder: str, most: int) -> tuple[str, list[str]]:
    manifest = load_manifest(folder)
    check = record_checker(manifest)
    for path in manifest.paths:
        if not os.path.isfile(path):
            raise DatasetError(f"{path}: missing, but listed in the manifest")

    def look(shard: Shard) -> tuple[list[bytes], list[str]]:
        return _look_through(manifest.folder / shard.file, shard.count, check)

    with ThreadPoolExecutor() as executor:
        # Payloads of good shards are let go at once: a data set may be large.
        reports = executor.map(lambda shard: _bad_only(look(shard)), manifest.shards)
        progress = tqdm(reports, total=len(manifest.shards), unit="shard", disable=None)
        reports = list(progress)
    problems = [problem for _, told in reports for problem in told]
    if len(problems) > most:
        raise DatasetError(
            f"{folder}: {len(problems)} corrupt records, --skip_corrupt allows {most}. "
            f"The first: {problems[0]}"
        )
    for problem in problems:
        logging.warning("left out: %s", problem)
    if not problems:
        return folder, []
    return str(_copy(manifest, [good for good, _ in reports])), problems


def _look_through(path: Path, count: int, check) -> tuple[list[bytes], list[str]]:
    """The good payloads of a shard of `count` records, a line for each lost one."""
    good, problems = [], []
    for frame, _, problem in checked_records(path, check):
        if problem:
            problems.append(f"{path}: offset {frame.offset}: {problem}")
        else:
            good.append(frame.payload)
    # Behind a broken header nothing is found; what was there is lost as well.
    for number in range(len(good) + len(problems), count):
        problems.append(f"{path}: record {number}: lost behind a broken header")
    return good, problems


def _bad_only(report: tuple[list[bytes], list[str]]):
    good, problems = report
    return (good if problems else None), problems


def _copy(manifest: Manifest, good: list[list[bytes] | None]) -> Path:
    """The data set in a folder of its own, until the process ends.

    Args:
        good: of each shard, the payloads that stay; None for all.
    """
    import tensorflow as tf

    folder = Path(tempfile.mkdtemp(prefix="records-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shards = []
    for shard, payloads in zip(manifest.shards, good, strict=True):
        path = folder / shard.file
        if payloads is None:
            path.symlink_to((manifest.folder / shard.file).resolve())
        elif payloads:
            with tf.io.TFRecordWriter(os.fsencode(path)) as writer:
                for payload in payloads:
                    writer.write(payload)
            size = path.stat().st_size
            shard = Shard(shard.file, len(payloads), size, sha256_of(path))
        else:
            continue
        shards.append(shard)
    count = sum(shard.count for shard in shards)
    copy = Manifest(folder, manifest.name, manifest.task, count, tuple(shards))
    save_manifest(copy)
    return folder
