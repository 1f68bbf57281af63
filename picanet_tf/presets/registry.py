"""The registry of presets and their files. Imports no TensorFlow."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import sha256_of

FOLDER = Path(__file__).parent
KINDS = ("litert", "weights")
# Fields of an entry's JSON, and of each of its `files`.
_FIELDS = {
    **dict.fromkeys(("name", "task", "variant"), str),
    **{"image_size": int, "width": (int, float), "default": bool},
    **{"files": dict, "card": dict},
}
_FILE_FIELDS = {"name": str, "bytes": int, "sha256": str, "url": str}


@dataclass(frozen=True)
class File:
    """A file of a preset.

    Attributes:
        name: file name.
        bytes: size in bytes.
        sha256: SHA-256 in hex.
        url: URL to download it from; "" if it is bundled.
    """

    name: str
    bytes: int
    sha256: str
    url: str = ""


@dataclass(frozen=True, eq=False)
class Preset:
    """A pretrained model.

    Attributes:
        name: name of the preset.
        task: task, such as "saliency".
        variant: variant of the network, such as "6GAP_5432LAP".
        image_size: side of the input in pixels.
        width: factor on the paper's channels.
        files: {"litert" or "weights": file}; empty if only the card and scores are
            published.
        card: contents of the model card, see `presets.card`.
        default: whether it is used when no model is given.
        folder: folder of its JSON.
    """

    name: str
    task: str
    variant: str
    image_size: int
    width: float
    files: Mapping[str, File]
    card: Mapping
    default: bool
    folder: Path

    @property
    def summary(self) -> str:
        """One-line summary."""
        return self.card["summary"]

    @property
    def card_path(self) -> Path:
        """Path of the Markdown model card."""
        return self.folder / f"{self.name}.md"

    def __str__(self) -> str:
        return f"the preset {self.name}"

    def path(self, kind: str) -> Path:
        """Returns the path of a verified file; downloads it if it is remote.

        Args:
            kind: `"litert"` or `"weights"`.

        Raises:
            PicanetError: if there is no such file, it is damaged, or it cannot be
                downloaded.
        """
        if kind not in self.files:
            raise PicanetError(
                f"The preset {self.name} has no {kind} file: only its card and scores "
                f"are published, in {self.card_path}"
            )
        file = self.files[kind]
        if file.url:
            from picanet_tf.presets.download import download

            return download(file.url, file.sha256, file.bytes, file.name)
        path = self.folder / file.name
        if not path.is_file():
            raise PicanetError(
                f"The file {path} of the preset {self.name} is missing: reinstall "
                "picanet-tf"
            )
        if sha256_of(path) != file.sha256:
            raise PicanetError(
                f"The file {path} of the preset {self.name} is damaged (its SHA-256 "
                "differs): reinstall picanet-tf"
            )
        return path


def list_presets() -> dict[str, Preset]:
    """Returns {name: preset} of all presets, the default one first.

    Raises:
        PicanetError: if an entry cannot be read.
    """
    paths = sorted(FOLDER.glob("*.json"))
    found = [_read(path, path.stat().st_mtime_ns) for path in paths]
    found.sort(key=lambda preset: not preset.default)
    return {preset.name: preset for preset in found}


def find_preset(name: str) -> Preset:
    """Returns a preset by name; raises `PicanetError` if there is none."""
    presets = list_presets()
    if name not in presets:
        raise PicanetError(
            f"There is no preset {name!r}. There are: {', '.join(presets) or 'none'}"
        )
    return presets[name]


def default_preset() -> Preset:
    """Returns the default preset; raises `PicanetError` if there is none."""
    for preset in list_presets().values():
        if preset.default:
            return preset
    if list_presets():
        raise PicanetError("There is no default preset: give a `model`")
    raise PicanetError(
        f"No presets in {FOLDER}: reinstall picanet-tf (unpacked, not as a zip), or "
        "give a `model`"
    )


def preset_for(weights: object, task: str, variant: str | None) -> Preset | None:
    """Returns the preset for `build_model(variant, weights=weights)`, if it is one.

    Args:
        weights: argument of `build_model`; a preset name or any other value.
        task: task of the network.
        variant: requested variant; None: the preset's.

    Raises:
        PicanetError: if the preset is of another task or variant.
    """
    preset = list_presets().get(weights) if isinstance(weights, str) else None
    if preset is None:
        return None
    if preset.task != task:
        raise PicanetError(
            f"The preset {preset.name} is for {preset.task}, the network for {task}"
        )
    if variant not in (None, preset.variant):
        raise PicanetError(
            f"The preset {preset.name} is a {preset.variant}. Received: "
            f"variant={variant!r}. Omit the variant, or train another one from the "
            f"matching weights: picanet train --init_from {preset.name}"
        )
    return preset


@functools.lru_cache
def _read(path: Path, changed: int) -> Preset:
    """Reads the entry of a preset; `changed` is when it was last written."""
    try:
        entry = json.loads(path.read_text("utf-8"))
        _check(entry, _FIELDS, "the entry")
        files = entry["files"]
        for kind, file in files.items():
            _check(file, _FILE_FIELDS, f"files[{kind!r}]")
        if entry["name"] != path.stem or set(files) - set(KINDS):
            raise ValueError(
                f"its name must be {path.stem!r} and its files must be some of "
                f"{', '.join(KINDS)}. Received: {entry['name']!r} and {sorted(files)}"
            )
        for file in files.values():
            if file["name"] in ("", "..") or Path(file["name"]).name != file["name"]:
                raise ValueError(f"{file['name']!r} is not the name of a file")
        _check(entry["card"], {"summary": str}, "card", more=True)
    except OSError as error:
        raise PicanetError(f"Cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise PicanetError(f"{path} is not the entry of a preset: {error}") from error
    files = {kind: File(**file) for kind, file in files.items()}
    return Preset(**{**entry, "files": files}, folder=path.parent)


def _check(values: object, fields: Mapping, name: str, *, more: bool = False) -> None:
    """Raises `ValueError` unless `values` has the given fields of the given types."""
    if not isinstance(values, dict):
        raise ValueError(f"{name} must be an object. Received: {type(values).__name__}")
    missing, unknown = set(fields) - set(values), set(values) - set(fields)
    if missing or (unknown and not more):
        wrong = (
            f"missing: {sorted(missing)}" if missing else f"unknown: {sorted(unknown)}"
        )
        raise ValueError(f"{name} must have the fields {', '.join(fields)}; {wrong}")
    for field, kind in fields.items():
        # In Python, bool is a subclass of int.
        if not isinstance(values[field], kind) or (
            isinstance(values[field], bool) and kind is not bool
        ):
            raise ValueError(
                f"{field!r} of {name} is of the wrong type. Received: {values[field]!r}"
            )
