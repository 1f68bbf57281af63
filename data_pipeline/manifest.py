"""`manifest.json`, which describes a converted data set.

{"format_version": 2, "name": "ECSSD", "kind": "mask", "count": 1000,
 "shards": [{"file": "00000.tfrecord", "count": 256,
             "bytes": 15728640, "sha256": "..."}, ...]}

Imports no TensorFlow.
"""

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from data_pipeline.kinds import KINDS, PLURALS
from picanet_tf.core.errors import DatasetError

FILE_NAME = "manifest.json"
FORMAT_VERSION = 2


@dataclass(frozen=True)
class Shard:
    """A TFRecord file.

    Attributes:
        file: its name in the data set's folder.
        count: number of records.
        bytes: size in bytes.
        sha256: SHA-256 in hex.
    """

    file: str
    count: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A converted data set.

    Attributes:
        folder: its folder.
        name: name of the data set, as in papers, such as "DUTS-TR".
        kind: kind of its ground truth, one of `kinds.KINDS`.
        count: number of records in all shards.
        shards: in the order of the data set.
        fingerprint: SHA-256 of the manifest without the folder; equal for equal data,
            since it covers the shards' hashes.
    """

    folder: Path
    name: str
    kind: str
    count: int
    shards: tuple[Shard, ...]

    @property
    def paths(self) -> list[str]:
        """Paths of the shards, in order."""
        return [str(self.folder / shard.file) for shard in self.shards]

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(_dump(self).encode()).hexdigest()

    def check_kind(self, kind: str) -> None:
        """Raises `DatasetError` if the ground truth is not of this kind."""
        if self.kind != kind:
            raise DatasetError(
                f"{self.folder}: holds {PLURALS[self.kind]}, but {PLURALS[kind]} are "
                "required"
            )

    def summary(self) -> str:
        """Returns a printable line: "ECSSD, masks, 1,000 records in 4 shards"."""
        shards = "1 shard" if len(self.shards) == 1 else f"{len(self.shards)} shards"
        kind = PLURALS[self.kind]
        return f"{self.name}, {kind}, {self.count:,} records in {shards}"


def save_manifest(manifest: Manifest) -> None:
    """Writes `manifest.json` to the data set's folder; raises `OSError` on failure."""
    (manifest.folder / FILE_NAME).write_text(_dump(manifest), encoding="utf-8")


def load_manifest(path: str | os.PathLike) -> Manifest:
    """Reads and checks the manifest in a data set's folder.

    Raises:
        DatasetError: if `path` is missing, a file, or a folder without a manifest; or
            the manifest is unreadable, of another format version, or inconsistent.
    """
    folder = Path(path)
    file = folder / FILE_NAME
    if folder.is_file():
        raise DatasetError(f"{folder}: a file, not a data set folder")
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such data set folder")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(
            f"{folder}: no {FILE_NAME}, so this is not a data set that "
            "picanet convert (python -m data_pipeline.convert) wrote"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{file}: cannot be read: {error}") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if type(version) is not int or version != FORMAT_VERSION:
        raise DatasetError(
            f"{file}: format version {version!r:.80}, but only {FORMAT_VERSION} can be "
            "read; convert the data set once more"
        )
    try:
        shards = tuple(Shard(**shard) for shard in content["shards"])
        manifest = Manifest(
            folder, content["name"], content["kind"], content["count"], shards
        )
        _check_types(manifest)
    except (KeyError, TypeError) as error:
        raise DatasetError(f"{file}: a field is missing or wrong: {error}") from error
    if manifest.kind not in KINDS:
        raise DatasetError(
            f"{file}: kind must be one of {', '.join(KINDS)}. "
            f"Received: {manifest.kind!r:.80}"
        )
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
                wanted = field.type.__name__
                raise TypeError(f"{field.name!r} must be {wanted}, is {value!r:.80}")
            if field.type is int and not 0 <= value < 2**63:
                raise TypeError(f"{field.name!r} must be 0 or more, is {value!r:.80}")


def _check_files(file: Path, shards: tuple[Shard, ...]) -> None:
    """Checks that the shards are distinct files in the data set's own folder."""
    seen = set()
    for name in (shard.file for shard in shards):
        if name in ("", ".", "..") or not _is_file_name(name):
            raise DatasetError(
                f"{file}: a shard must be a file in this folder. Received: {name!r}"
            )
        if name in seen:
            raise DatasetError(f"{file}: lists the shard {name!r} twice")
        seen.add(name)
    hashes = [shard.sha256 for shard in shards if shard.sha256]
    if len(set(hashes)) < len(hashes):
        raise DatasetError(f"{file}: two of its shards have the same SHA-256")


def _is_file_name(name: str) -> bool:
    """Whether a name contains no folder and can be encoded by the file system."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return not set(name) & set("/\\\0")


def _dump(manifest: Manifest) -> str:
    content = {
        "format_version": FORMAT_VERSION,
        "name": manifest.name,
        "kind": manifest.kind,
        "count": manifest.count,
        "shards": [dataclasses.asdict(shard) for shard in manifest.shards],
    }
    return json.dumps(content, indent=1) + "\n"
