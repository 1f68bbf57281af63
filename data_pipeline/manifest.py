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
    except (OSError, ValueError) as error:
        raise DatasetError(f"{file}: cannot be read: {error}") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise DatasetError(
            f"{file}: format_version must be {FORMAT_VERSION}; convert the data set "
            f"anew. Received: {version!r}"
        )
    try:
        shards = tuple(Shard(**shard) for shard in content["shards"])
        manifest = Manifest(
            folder, content["name"], content["task"], content["count"], shards
        )
        total = sum(shard.count for shard in shards)
    except (KeyError, TypeError) as error:
        raise DatasetError(f"{file}: a field is missing or wrong: {error}") from error
    if total != manifest.count:
        raise DatasetError(
            f"{file}: count is {manifest.count!r}, but its shards hold {total}"
        )
    return manifest


def sha256_of(path: str | os.PathLike) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _dump(manifest: Manifest) -> str:
    content = {
        "format_version": FORMAT_VERSION,
        "name": manifest.name,
        "task": manifest.task,
        "count": manifest.count,
        "shards": [dataclasses.asdict(shard) for shard in manifest.shards],
    }
    return json.dumps(content, indent=1) + "\n"
