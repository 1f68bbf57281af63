"""Makes a preset of a trained network: one that ships, or one to be downloaded.

    python -m picanet_tf.presets.add runs/latest NAME --facts facts.json
    python -m picanet_tf.presets.add weights.npz NAME --variant 6GAP_5432LAP \\
        --facts facts.json --scores out/report.json
    python -m picanet_tf.presets.add runs/latest NAME --replace
    python -m picanet_tf.presets.add runs/latest NAME --facts facts.json \\
        --url https://example.org/presets/ --output upload/

The first argument is a run, a .keras file, or an .npz of arrays by variable path. What
is made: NAME.npz, the weights (kernels int8, each output channel with its scale);
NAME.tflite, which predicts, of the same weights; NAME.md, the model card; NAME.json,
the registry's entry, with checksums. facts.json holds texts: summary, terms (licence
and terms of the data), data, recipe, provenance, limits; and scores, a list of {"set",
"images", "max_f", "mae", "scored_by"}. --replace keeps what the entry said before and
the facts do not give.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from absl import flags

from picanet_tf.core import cli
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import move_into_place, sha256_of, write_json, write_text
from picanet_tf.presets import card, registry
from picanet_tf.presets.arrays import quantize, read_arrays

FLAGS = flags.FLAGS
POSITIONAL = "RUN_OR_WEIGHTS NAME"
# A norm of whose moving averages nothing was said counts as well filled.
_COLLECTED = "collected_weight"
_WELL_FILLED = 20.0
_TASK = "saliency"  # Of which LiteRT files predict.
# What `build_model(weights=...)` takes besides a preset.
_TAKEN = ("imagenet", "hed", "none")


def define_flags() -> None:
    text = flags.DEFINE_string
    text("variant", None, "Of an .npz: which network its arrays are of.")
    flags.DEFINE_integer(
        "image_size", None, "Side of the input; default the network's."
    )
    text("facts", None, "JSON file of what the card says.")
    flags.DEFINE_multi_string(
        "scores", [], "A report.json of evaluate.py; again for more."
    )
    flags.DEFINE_bool("default", False, "Take this one when no model is named.")
    flags.DEFINE_bool("replace", False, "Replace the preset of that name.")
    text("url", "", "The files are downloaded from below this address.")
    text("output", None, "With --url: the folder for the files to upload.")


def main(words: list[str]) -> int:
    if len(words) != 2:
        raise PicanetError(f"{POSITIONAL} are wanted. Received: {words}")
    return add(*words)


def add(source: str, name: str) -> int:
    before = registry.list_presets().get(name)
    if before and not FLAGS.replace:
        raise PicanetError(f"The preset {name} exists: give --replace, or another name")
    if name in _TAKEN:
        raise PicanetError(f"NAME may not be {', '.join(_TAKEN)}. Received: {name!r}")
    if not name.replace("_", "").replace("-", "").isalnum() or not name.isascii():
        raise PicanetError(f"NAME must be letters, digits, _ and -. Received: {name!r}")
    if bool(FLAGS.url) != bool(FLAGS.output):
        raise PicanetError("--url and --output go together")
    facts = _facts(before)
    trained = _network(source)
    target = Path(FLAGS.output) if FLAGS.url else registry.FOLDER
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as folder:
        made = _write_files(trained, Path(folder), name)
        entry = {
            "name": name,
            "task": _TASK,
            "variant": trained.variant,
            "image_size": trained.image_size,
            "width": trained.config.width,
            "default": FLAGS.default or bool(before and before.default),
            "files": {kind: _file(path) for kind, path in made.items()},
            "card": facts,
        }
        for path in made.values():
            move_into_place(path, target / path.name)
    write_text(registry.FOLDER / f"{name}.md", card.markdown(entry))
    write_json(registry.FOLDER / f"{name}.json", entry)
    if entry["default"]:
        _only_default(name)
    for file in entry["files"].values():
        print(f"{target / file['name']}: {file['bytes'] / 1e6:.1f} MB")
    print(registry.FOLDER / f"{name}.md")
    return 0


def _only_default(name: str) -> None:
    """The one that was the default until now is no more."""
    for path in registry.FOLDER.glob("*.json"):
        entry = json.loads(path.read_text())
        if entry["default"] and entry["name"] != name:
            write_json(path, {**entry, "default": False})


def _facts(before: registry.Preset | None) -> dict:
    facts = dict(before.card) if before else {}
    if FLAGS.facts:
        facts |= _read_json(FLAGS.facts)
    scores = [row for report in FLAGS.scores for row in _scores(report)]
    if scores:
        facts["scores"] = scores
    card.check_facts(facts, f"--facts {FLAGS.facts or ''}".strip())
    return facts


def _read_json(path: str) -> dict:
    try:
        values = json.loads(Path(path).read_text())
    except OSError as error:
        raise PicanetError(f"Cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise PicanetError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise PicanetError(f"{path} must hold a JSON object")
    return values


def _scores(path: str) -> list[dict]:
    """Rows of a report of `evaluate.py`, of its first method."""
    try:
        return [
            {
                "set": name,
                "images": data["images"],
                "max_f": data["max_f"],
                "mae": data["mae"],
                "scored_by": "evaluate.py",
            }
            for name, data in _read_json(path)["datasets"].items()
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise PicanetError(f"{path} is no report of evaluate.py: {error!r}") from error


def _network(source: str):
    """The trained network, at the size of its input."""
    if Path(source).suffix == ".npz":
        if not FLAGS.variant:
            raise PicanetError("--variant is missing: an .npz does not say which it is")
        arrays = read_arrays(source)
        from picanet_tf.models.weights import assign_weights
        from picanet_tf.tasks.registry import get_task

        network = get_task(_TASK).build_model(
            FLAGS.variant, FLAGS.image_size, width=_width_in(arrays), dropout=0.0
        )
        transfer = assign_weights(arrays, network, source, partial=True)
        missing = [path for path in transfer.missing if not path.endswith(_COLLECTED)]
        if missing or transfer.unexpected or transfer.mismatched:
            raise PicanetError(f"{source} is no {FLAGS.variant}: {transfer}")
        for variable in network.weights:
            if variable.path in transfer.missing:
                variable.assign(_WELL_FILLED)
        return network
    if FLAGS.variant:
        raise PicanetError("--variant goes with an .npz only: a network knows its own")
    from picanet_tf.inference.loading import load_model
    from picanet_tf.inference.locate import locate

    network = load_model(locate(source), engine="keras").network
    task = network.task.spec.name
    if task != _TASK:
        raise PicanetError(f"{source} is for {task}; presets are for {_TASK}")
    return network.rebuild(image_size=FLAGS.image_size or network.image_size)


def _width_in(arrays) -> float:
    """Factor on the paper's 1024 channels of fc7, by which all others go."""
    kernel = arrays.get("fc7/kernel")
    return 1.0 if kernel is None else kernel.shape[-1] / 1024


def _write_files(trained, folder: Path, name: str) -> dict[str, Path]:
    """The weights, and the LiteRT file of what those weights hold."""
    import numpy as np

    from picanet_tf.models.weights import assign_weights
    from picanet_tf.serving.tflite import write_tflite

    weights, litert = folder / f"{name}.npz", folder / f"{name}.tflite"
    np.savez(weights, **quantize({v.path: v.numpy() for v in trained.weights}))
    network = trained.rebuild(dtype="float32")
    assign_weights(read_arrays(weights), network, str(weights))
    write_tflite(network, litert, "dynamic")
    litert.with_suffix(".json").unlink()  # The entry's own is called so.
    return {"litert": litert, "weights": weights}


def _file(path: Path) -> dict:
    return {
        "name": path.name,
        "bytes": path.stat().st_size,
        "sha256": sha256_of(path),
        "url": FLAGS.url and f"{FLAGS.url.rstrip('/')}/{path.name}",
    }


if __name__ == "__main__":
    define_flags()
    cli.run(main, positional=POSITIONAL)
