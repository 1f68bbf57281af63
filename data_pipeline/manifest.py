"""`manifest.json`: what a converted data set consists of.

{"format_version": 1, "name": "ECSSD", "task": "saliency", "count": 1000,
 "shards": [{"file": "00000.tfrecord", "count": 256,
             "bytes": 15728640, "sha256": "..."}, ...]}
"""

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from data_pipeline.errors import DatasetError

FILE_NAME = "manifest.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Shard:
    """One TFRecord file: its name in the data set's folder, records, size, hash."""

    file: str
    count: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A converted data set.

    Attributes:
        folder: where it lies.
        name: of the data set, as in papers: "DUTS-TR".
        task: "saliency", "segmentation" or "detection".
        count: records in all shards.
        shards: in the order of the data set.
        fingerprint: SHA-256 of what the manifest says, folder left out; equal for
            equal data, since it covers the shards' hashes.
    """

    folder: Path
    name: str
    task: str
    count: int
    shards: tuple[Shard, ...]

    @property
    def paths(self) -> list[str]:
        """The shards' paths, in order."""
        return [str(self.folder / shard.file) for shard in self.shards]

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(_dump(self).encode()).hexdigest()

    def summary(self) -> str:
        """One line for people: "ECSSD, saliency, 1,000 records in 4 shards"."""
        shards = "1 shard" if len(self.shards) == 1 else f"{len(self.shards)} shards"
        return f"{self.name}, {self.task}, {self.count:,} records in {shards}"


def save_manifest(manifest: Manifest) -> None:
    """Writes `manifest.json` into the data set's folder."""
    (manifest.folder / FILE_NAME).write_text(_dump(manifest), encoding="utf-8")


def load_manifest(path: str | os.PathLike) -> Manifest:
    """Reads the manifest of a data set's folder and checks that it is complete.

    Raises:
        DatasetError: no such folder, no manifest in it, an unreadable one, one of
            another format version, or one whose counts contradict each other.
    """
    folder = Path(path)
    file = folder / FILE_NAME
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such data set folder")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(
            f"{folder}: no {FILE_NAME}, so not a data set that "
            "`python -m data_pipeline.convert` wrote"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{file}: cannot be read: {error}") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if type(version) is not int or version != FORMAT_VERSION:
        raise DatasetError(
            f"{file}: format_version must be {FORMAT_VERSION}; convert the data set "
            f"anew. Received: {version!r}"
        )
    try:
        shards = tuple(Shard(**shard) for shard in content["shards"])
        manifest = Manifest(
            folder, content["name"], content["task"], content["count"], shards
        )
        _check_types(manifest)
    except (KeyError, TypeError) as error:
        raise DatasetError(f"{file}: a field is missing or wrong: {error}") from error
    _check_files(file, shards)
    total = sum(shard.count for shard in shards)
    if total != manifest.count:
        raise DatasetError(
            f"{file}: count is {manifest.count!r}, but its shards hold {total}"
        )
    return manifest


def _check_types(manifest: Manifest) -> None:
    for thing in (manifest, *manifest.shards):
        for field in dataclasses.fields(thing):
            value = getattr(thing, field.name)
            # Not `isinstance`: True is an int.
            if field.type in (int, str) and type(value) is not field.type:
                kind = field.type.__name__
                raise TypeError(f"{field.name!r} must be {kind}, is {value!r:.80}")
            if field.type is int and not 0 <= value < 2**63:
                raise TypeError(f"{field.name!r} must be 0 or more, is {value!r:.80}")


def _check_files(file: Path, shards: tuple[Shard, ...]) -> None:
    """A shard lies in the data set's own folder, whatever the manifest says."""
    seen = set()
    for name in (shard.file for shard in shards):
        if name in ("", ".", "..") or not _is_plain(name):
            raise DatasetError(
                f"{file}: a shard must be a file in this folder. Received: {name!r}"
            )
        if name in seen:
            raise DatasetError(f"{file}: lists the shard {name!r} twice")
        seen.add(name)
    hashes = [shard.sha256 for shard in shards if shard.sha256]
    if len(set(hashes)) < len(hashes):
        raise DatasetError(f"{file}: two of its shards have one SHA-256")


def _is_plain(name: str) -> bool:
    """Whether it is a file's name, without folders, that the file system can spell."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return not set(name) & set("/\\\0")


def _dump(manifest: Manifest) -> str:
    content = {
        "format_version": FORMAT_VERSION,
        "name": manifest.name,
        "task": manifest.task,
        "count": manifest.count,
        "shards": [dataclasses.asdict(shard) for shard in manifest.shards],
    }
    return json.dumps(content, indent=1) + "\n"
