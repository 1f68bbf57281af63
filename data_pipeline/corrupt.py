"""Leaves corrupt records out of a data set, naming each, so that training can continue.

TensorFlow cannot read past a bad record, and `ignore_errors` silently drops the rest of
its file. So all records are checked first, as `verify` does, and a shard with bad ones
is copied without them; the other shards are linked to. The same bad records always
leave the same data set, so a run resumes exactly.
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

from data_pipeline.manifest import Manifest, Shard, load_manifest, save_manifest
from data_pipeline.shards import write_shard
from data_pipeline.verify import check_records
from picanet_tf.core.errors import DatasetError
from picanet_tf.core.files import errors_of_writing


@dataclass(frozen=True)
class CleanDatasets:
    """Data sets without their corrupt records.

    Attributes:
        paths: {data set: the folder to read instead}; copies are removed when the
            process ends.
        left_out: {data set: a line for each record left out}, for the data sets that
            were checked.
    """

    paths: Mapping[str, str]
    left_out: Mapping[str, list[str]]

    def redirect(self, read: Callable) -> Callable:
        """Returns a reader that reads the clean data set instead of the given one."""
        return lambda folder, **options: read(self.paths[folder], **options)


@dataclass(frozen=True)
class _ShardReport:
    """A checked shard: a line for each corrupt record, and the good payloads.

    The payloads are None if no record is corrupt, since a data set may be large.
    """

    problems: list[str]
    payloads: list[bytes] | None


def leave_out_corrupt(
    folders: Iterable[str], skip_corrupt: int, before: Mapping[str, list[str]]
) -> CleanDatasets:
    """Copies data sets that have corrupt records, without these.

    Args:
        folders: data sets; empty names are ignored.
        skip_corrupt: maximum number of corrupt records of each that may be left out; 0:
            nothing is checked.
        before: when a run is resumed, the `CleanDatasets.left_out` of its start. As
            many records may be left out again, whatever `skip_corrupt` is.

    Raises:
        DatasetError: if more records are corrupt, or a data set or shard is missing;
            or, with `skip_corrupt=0`, if other records are corrupt than before.
        PicanetError: if the copy of a data set cannot be written.
    """
    paths, left_out = {}, {}
    for folder in filter(None, folders):
        paths[folder] = folder
        expected = before.get(folder, [])
        if not skip_corrupt and not expected:
            continue
        paths[folder], found = _clean(folder, max(skip_corrupt, len(expected)))
        if expected and found != expected:
            message = f"{folder}: other records are corrupt than when the run began"
            if not skip_corrupt:
                raise DatasetError(f"{message}; give `skip_corrupt` to go on")
            logging.warning("%s; the order of the data changes from here", message)
        left_out[folder] = found
    return CleanDatasets(paths, left_out)


def _clean(folder: str, limit: int) -> tuple[str, list[str]]:
    """Returns the folder to read, and a line for each record left out."""
    manifest = load_manifest(folder)
    for path in manifest.paths:
        if not os.path.isfile(path):
            raise DatasetError(f"{path}: missing, but listed in the manifest")
    with ThreadPoolExecutor() as executor:
        reports = executor.map(
            lambda shard: _check_shard(manifest, shard), manifest.shards
        )
        progress = tqdm(reports, total=len(manifest.shards), unit="shard", disable=None)
        reports = list(progress)
    problems = [problem for report in reports for problem in report.problems]
    if len(problems) > limit:
        raise DatasetError(
            f"{folder}: {len(problems)} corrupt records, `skip_corrupt` allows "
            f"{limit}. The first: {problems[0]}"
        )
    for problem in problems:
        logging.warning("left out: %s", problem)
    if not problems:
        return folder, []
    remedy = "set the environment variable TMPDIR to another folder"
    try:
        copy = Path(tempfile.mkdtemp(prefix="records-"))
    except OSError as error:
        raise DatasetError(
            f"{folder}: its intact records cannot be copied: {error.strerror}; {remedy}"
        ) from error
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    with errors_of_writing(copy, remedy):
        _copy(manifest, [report.payloads for report in reports], copy)
    return str(copy), problems


def _check_shard(manifest: Manifest, shard: Shard) -> _ShardReport:
    path = manifest.folder / shard.file
    good, problems = [], []
    for frame, _, problem in check_records(path, manifest.kind):
        if problem:
            problems.append(f"{path}: offset {frame.offset}: {problem}")
        else:
            good.append(frame.payload)
    # No record is found after a broken header; those that were there are lost as well.
    for number in range(len(good) + len(problems), shard.count):
        problems.append(f"{path}: record {number}: lost behind a broken header")
    return _ShardReport(problems, good if problems else None)


def _copy(manifest: Manifest, payloads: list[list[bytes] | None], folder: Path) -> None:
    """Copies a data set to another folder.

    Args:
        manifest: manifest of the data set.
        payloads: the records that each shard keeps; None: all of them.
        folder: an empty folder.
    """
    shards = []
    for shard, kept in zip(manifest.shards, payloads, strict=True):
        path = folder / shard.file
        if kept is None:
            path.symlink_to((manifest.folder / shard.file).resolve())
            shards.append(shard)
        elif kept:
            shards.append(write_shard(kept, path))
    count = sum(shard.count for shard in shards)
    copy = Manifest(folder, manifest.name, manifest.kind, count, tuple(shards))
    save_manifest(copy)
