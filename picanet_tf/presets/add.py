"""Creates a preset from a trained network, bundled or to be downloaded.

    python -m picanet_tf.presets.add runs/latest NAME --facts facts.json
    python -m picanet_tf.presets.add weights.npz NAME --variant 6GAP_5432LAP \\
        --facts facts.json --scores out/report.json
    python -m picanet_tf.presets.add runs/latest NAME --replace
    python -m picanet_tf.presets.add runs/latest NAME --facts facts.json \\
        --url https://example.org/presets/ --output upload/

The first argument is a run, a .keras file, or an .npz of arrays by variable path.
Writes NAME.npz, the weights (int8 kernels with a scale per output channel); NAME.tflite
with the same weights, for prediction; NAME.md, the model card; and NAME.json, the
registry entry with checksums. facts.json holds the texts summary, terms (licence and
terms of the data), data, recipe, provenance and limits, and scores, a list of {"set",
"images", "max_f", "mae", "scored_by"}. --replace keeps the previous entry's facts that
are not given.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from absl import flags

from picanet_tf.core import cli
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import (
    move_into_place,
    read_json,
    sha256_of,
    write_json,
    write_text,
)
from picanet_tf.core.signals import StopRequest
from picanet_tf.presets import card, registry
from picanet_tf.presets.arrays import quantize, read_arrays

FLAGS = flags.FLAGS
POSITIONAL = "RUN_OR_WEIGHTS NAME"
# A norm's total weight of collected statistics; if missing, it is taken to be complete.
_COLLECTED = "collected_weight"
_FULL = 20.0
_TASK = "saliency"  # the only task of the LiteRT engine
# Values of `build_model(weights=...)` other than presets.
_RESERVED = ("imagenet", "hed", "none")


def define_flags() -> None:
    text = flags.DEFINE_string
    text("variant", None, "Variant of the network; required for an .npz.")
    flags.DEFINE_integer(
        "image_size", None, "Side of the input in pixels; default: the network's."
    )
    text("facts", None, "JSON file with the contents of the model card.")
    flags.DEFINE_multi_string(
        "scores", [], "A report.json of picanet evaluate; repeatable."
    )
    flags.DEFINE_bool("default", False, "Make it the default preset.")
    flags.DEFINE_bool(
        "replace", False, "Replace the preset of that name, and its files."
    )
    text("url", "", "Base URL to download the files from; default: bundle them.")
    text("output", None, "With --url: folder for the files to upload.")
    cli.path_flags("facts", "scores", "output")


@dataclass(frozen=True, kw_only=True)
class AddOptions:
    """Options of `add_preset`.

    Attributes:
        variant: variant of the network; required for an `.npz`.
        image_size: side of the input in pixels; None: the network's.
        facts: JSON file with the contents of the model card.
        scores: `report.json` files of `picanet evaluate`.
        default: make it the default preset.
        replace: replace the preset of that name, and its files.
        url: base URL to download the files from; "": bundle them.
        output: with `url`, folder for the files to upload.
    """

    variant: str | None = None
    image_size: int | None = None
    facts: str | None = None
    scores: Sequence[str] = ()
    default: bool = False
    replace: bool = False
    url: str = ""
    output: str | None = None


def main(words: list[str]) -> int:
    if len(words) != 2:
        raise PicanetError(f"expected {POSITIONAL}. Received: {words}")
    names = (field.name for field in dataclasses.fields(AddOptions))
    options = AddOptions(**{name: FLAGS[name].value for name in names})
    for line in add_preset(*words, options):
        print(line)
    return 0


def add_preset(source: str, name: str, options: AddOptions) -> list[str]:
    """Creates a preset.

    Args:
        source: a run, a `.keras` file, or an `.npz` of arrays by variable path.
        name: name of the preset.
        options: further options.

    Returns:
        A printable line for each file written.

    Raises:
        PicanetError: if the preset cannot be created.
    """
    before = registry.list_presets().get(name)
    if before and not options.replace:
        raise PicanetError(f"The preset {name} exists: give `replace`, or another name")
    if name in _RESERVED:
        raise PicanetError(
            f"NAME may not be {', '.join(_RESERVED)}. Received: {name!r}"
        )
    if not name.replace("_", "").replace("-", "").isalnum() or not name.isascii():
        raise PicanetError(f"NAME must be letters, digits, _ and -. Received: {name!r}")
    if bool(options.url) != bool(options.output):
        raise PicanetError("`url` and `output` go together")
    target = Path(options.output) if options.url else registry.FOLDER
    _check_targets(target, source, name, options.replace)
    facts = _facts(before, options)
    trained = _network(source, options)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as folder:
        made = _write_files(trained, Path(folder), name)
        entry = {
            "name": name,
            "task": _TASK,
            "variant": trained.variant,
            "image_size": trained.image_size,
            "width": trained.config.width,
            "default": options.default or bool(before and before.default),
            "files": {
                kind: _describe(path, options.url) for kind, path in made.items()
            },
            "card": facts,
        }
        # Files without their new checksums would count as damaged.
        with StopRequest() as stop:
            for path in made.values():
                move_into_place(path, target / path.name)
            write_text(registry.FOLDER / f"{name}.md", card.markdown(entry))
            write_json(registry.FOLDER / f"{name}.json", entry)
            if entry["default"]:
                _unset_other_defaults(name)
        stop.obey()
    lines = [
        f"{target / file['name']}: {file['bytes'] / 1e6:.1f} MB"
        for file in entry["files"].values()
    ]
    return [*lines, str(registry.FOLDER / f"{name}.md")]


def _check_targets(target: Path, source: str, name: str, replace: bool) -> None:
    """Checks that no file is overwritten except those of the preset to replace."""
    for path in (target / f"{name}{ending}" for ending in (".npz", ".tflite")):
        if path.exists() and Path(source).exists() and path.samefile(source):
            raise PicanetError(
                f"{path} would be overwritten, and is what the preset is made of: give "
                "another NAME, or move it away"
            )
        if os.path.lexists(path) and not replace:
            raise PicanetError(
                f"{path} exists: give `replace`, another NAME, or move it away"
            )


def _unset_other_defaults(name: str) -> None:
    """Makes `name` the only default."""
    for path in registry.FOLDER.glob("*.json"):
        entry = json.loads(path.read_text("utf-8"))
        if entry["default"] and entry["name"] != name:
            write_json(path, {**entry, "default": False})


def _facts(before: registry.Preset | None, options: AddOptions) -> dict:
    facts = dict(before.card) if before else {}
    if options.facts:
        facts |= read_json(options.facts)
    scores = [row for report in options.scores for row in _scores(report)]
    if scores:
        facts["scores"] = scores
    card.check_facts(facts, f"`facts` {options.facts or ''}".strip())
    return facts


def _scores(path: str) -> list[dict]:
    """Returns the scores of the first method in a report of `picanet evaluate`."""
    try:
        return [
            {
                "set": name,
                "images": data["images"],
                "max_f": data["max_f"],
                "mae": data["mae"],
                "scored_by": "evaluate.py",
            }
            for name, data in read_json(path)["datasets"].items()
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise PicanetError(
            f"{path} is not a report of picanet evaluate: {error!r}"
        ) from error


def network_of_arrays(source: str, variant: str, image_size: int | None = None):
    """Builds a saliency network with the weights of an `.npz` by variable path.

    The total weight of a norm's collected statistics may be missing.

    Raises:
        PicanetError: if the file cannot be read, or its arrays are not those of the
            variant.
    """
    arrays = read_arrays(source)
    from picanet_tf.models.weights import assign_weights
    from picanet_tf.tasks.registry import get_task

    network = get_task(_TASK).build_model(
        variant, image_size, width=_width_in(arrays), dropout=0.0
    )
    transfer = assign_weights(arrays, network, source, partial=True)
    missing = [path for path in transfer.missing if not path.endswith(_COLLECTED)]
    if missing or transfer.unexpected or transfer.mismatched:
        raise PicanetError(f"{source} is not a {variant}: {transfer}")
    for variable in network.weights:
        if variable.path in transfer.missing:
            variable.assign(_FULL)
    return network


def _network(source: str, options: AddOptions):
    """Loads the trained network at the requested input size."""
    if Path(source).suffix == ".npz":
        if not options.variant:
            raise PicanetError(
                "`variant` is missing: an .npz does not record the network's variant"
            )
        return network_of_arrays(source, options.variant, options.image_size)
    if options.variant:
        raise PicanetError("`variant` goes with an .npz only: a network knows its own")
    from picanet_tf.inference.loading import load_model
    from picanet_tf.inference.locate import locate

    model = load_model(locate(source), engine="keras", precision="float32")
    network = model.network
    task = network.task.spec.name
    if task != _TASK:
        raise PicanetError(f"{source} is for {task}; presets are for {_TASK}")
    return network.rebuild(image_size=options.image_size or network.image_size)


def _width_in(arrays) -> float:
    """Returns the width factor, from the channels of fc7 (1024 in the paper)."""
    kernel = arrays.get("fc7/kernel")
    return 1.0 if kernel is None else kernel.shape[-1] / 1024


def _write_files(trained, folder: Path, name: str) -> dict[str, Path]:
    """Writes the quantized weights, and the LiteRT file made from them."""
    import numpy as np

    from picanet_tf.models.weights import assign_weights
    from picanet_tf.serving.tflite import write_tflite

    weights, litert = folder / f"{name}.npz", folder / f"{name}.tflite"
    np.savez(weights, **quantize({v.path: v.numpy() for v in trained.weights}))
    network = trained.rebuild(dtype="float32")
    assign_weights(read_arrays(weights), network, str(weights))
    write_tflite(network, litert, "dynamic")
    litert.with_suffix(".json").unlink()  # same name as the registry entry
    return {"litert": litert, "weights": weights}


def _describe(path: Path, url: str) -> dict:
    return {
        "name": path.name,
        "bytes": path.stat().st_size,
        "sha256": sha256_of(path),
        "url": url and f"{url.rstrip('/')}/{path.name}",
    }


if __name__ == "__main__":
    define_flags()
    cli.run(main, positional=POSITIONAL)
