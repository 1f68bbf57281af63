"""Which presets there are, and where their files are. Imports no TensorFlow."""

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
# Of an entry's JSON, and of each of its `files`.
_FIELDS = {
    **dict.fromkeys(("name", "task", "variant"), str),
    **{"image_size": int, "width": (int, float), "default": bool},
    **{"files": dict, "card": dict},
}
_FILE_FIELDS = {"name": str, "bytes": int, "sha256": str, "url": str}


@dataclass(frozen=True)
class File:
    """One of a preset's files.

    Attributes:
        name: the file's.
        bytes: its size.
        sha256: of its content, in hex.
        url: where to download it from; "" for one that is in the package.
    """

    name: str
    bytes: int
    sha256: str
    url: str = ""


@dataclass(frozen=True, eq=False)
class Preset:
    """A trained network that ships.

    Attributes:
        name: the one word that stands for it.
        task: what it does, such as "saliency".
        variant: which network it is, such as "6GAP_5432LAP".
        image_size: side of its input, in pixels.
        width: factor on the paper's channels.
        files: {"litert" or "weights": its file}; none of a network that has a card
            and scores only.
        card: what is to be known of it, see `presets.card`.
        default: whether it is taken when no model is named.
        folder: where its JSON lies.
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
        """One line for lists."""
        return self.card["summary"]

    @property
    def card_path(self) -> Path:
        """Its model card, Markdown."""
        return self.folder / f"{self.name}.md"

    def __str__(self) -> str:
        return f"the preset {self.name}"

    def path(self, kind: str) -> Path:
        """Where one of its files is, whole and unspoilt; downloads what is remote.

        Args:
            kind: `"litert"` or `"weights"`.

        Raises:
            PicanetError: there is none, it is damaged, or it cannot be downloaded.
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
                f"The file {path} of the preset {self.name} is missing: install "
                "picanet-tf again"
            )
        if sha256_of(path) != file.sha256:
            raise PicanetError(
                f"The file {path} of the preset {self.name} is damaged (its SHA-256 is "
                "another one): install picanet-tf again"
            )
        return path


def list_presets(folder: str | Path | None = None) -> dict[str, Preset]:
    """{name: preset} of all that there are, the default one first.

    Args:
        folder: where their entries are; by default those that ship.

    Raises:
        PicanetError: an entry that cannot be read, by name.
    """
    found = [_read(path) for path in sorted(Path(folder or FOLDER).glob("*.json"))]
    found.sort(key=lambda preset: not preset.default)
    return {preset.name: preset for preset in found}


def find_preset(name: str) -> Preset:
    """The preset of that name; `PicanetError`, with all names, where there is none."""
    presets = list_presets()
    if name not in presets:
        raise PicanetError(
            f"There is no preset {name!r}. There are: {', '.join(presets) or 'none'}"
        )
    return presets[name]


def default_preset() -> Preset:
    """The preset that is taken when no model is named; `PicanetError` without one."""
    for preset in list_presets().values():
        if preset.default:
            return preset
    if list_presets():
        raise PicanetError("No preset is the default one: name a `model`")
    raise PicanetError(
        f"No preset is in {FOLDER}: install picanet-tf again (its files must lie in a "
        "folder, not in a zip), or name a `model`"
    )


def preset_for(weights: object, task: str, variant: str | None) -> Preset | None:
    """The preset that `build_model(variant, weights=weights)` asks for, if it is one.

    Args:
        weights: what `build_model` was given: a preset's name, or anything else.
        task: whose `build_model` it is.
        variant: the one asked for; None takes the preset's.

    Raises:
        PicanetError: the preset is another task's, or another variant.
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
            f"variant={variant!r}. Leave the variant out; to train another one from "
            f"what fits of it: train.py --init_from {preset.name}"
        )
    return preset


@functools.lru_cache
def _read(path: Path) -> Preset:
    try:
        entry = json.loads(path.read_text())
        _check(entry, _FIELDS, "the entry")
        files = entry["files"]
        for kind, file in files.items():
            _check(file, _FILE_FIELDS, f"files[{kind!r}]")
        if entry["name"] != path.stem or set(files) - set(KINDS):
            raise ValueError(f"it names {entry['name']} and the files {sorted(files)}")
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
    """Raises `ValueError` unless `values` has the fields, of their types."""
    if not isinstance(values, dict):
        raise ValueError(f"{name} must be an object")
    missing, unknown = set(fields) - set(values), set(values) - set(fields)
    if missing or (unknown and not more):
        wrong = f"missing: {sorted(missing)}" if missing else f"{sorted(unknown)}"
        raise ValueError(f"{name} has {', '.join(fields)}. Received, {wrong}")
    for field, kind in fields.items():
        # To Python, True is a number.
        if not isinstance(values[field], kind) or (
            isinstance(values[field], bool) and kind is not bool
        ):
            raise ValueError(
                f"{field!r} of {name} is of the wrong type. Received: {values[field]!r}"
            )
