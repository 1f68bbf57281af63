"""Resolves `--model` to a preset, a run or a file. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

from absl import logging

from picanet_tf.core.errors import PicanetError, naming_argument
from picanet_tf.presets import Preset, default_preset, list_presets
from picanet_tf.training.run_directory import RunDirectory

LATEST = Path("runs") / "latest"
_FILES = {".keras": "keras", ".tflite": "litert"}  # suffix: kind
DESCRIPTION = (
    "Preset name (see picanet models), run directory, or .keras or .tflite file. "
    "Default: runs/latest if it holds a finished saliency network, else the default "
    "preset."
)


@dataclass(frozen=True, eq=False)
class Located:
    """A model that was located but not loaded.

    Attributes:
        name: name used in messages.
        kind: "preset", "run", "keras" or "litert".
        keras: the `.keras` file; None for presets and LiteRT files.
        litert: the LiteRT file, if any. For presets use `preset.path("litert")`, which
            downloads and verifies it.
        preset: the preset; None for other kinds.
        run: the run; None for other kinds.
    """

    name: str
    kind: str
    keras: Path | None = None
    litert: Path | None = None
    preset: Preset | None = None
    run: RunDirectory | None = None

    @property
    def has_litert(self) -> bool:
        """Whether the model has a LiteRT file."""
        return self.litert is not None or (
            self.preset is not None and "litert" in self.preset.files
        )

    @property
    def has_network(self) -> bool:
        """Whether the Keras network is available."""
        return self.keras is not None or self.preset is not None

    def require_network(self, argument: str = "model") -> None:
        """Raises `PicanetError` if there is only a LiteRT file.

        Args:
            argument: argument name used in the error message.
        """
        if not self.has_network:
            raise PicanetError(
                f"`{argument}` {self.name}: a LiteRT file can only be used for "
                "prediction and evaluation, on LiteRT. Give the run, .keras file or "
                "preset it was made from"
            )

    def file(self, engine: str | None = None) -> Path:
        """Returns the file that an engine loads.

        Args:
            engine: "litert" or "keras"; None: the default of `load_model`.
        """
        if self.preset:
            litert = engine != "keras" and self.has_litert
            return self.preset.path("litert" if litert else "weights")
        return self.litert or self.keras

    def __str__(self) -> str:
        return f"the preset {self.name}" if self.preset else self.name


def locate(
    model: str | os.PathLike | None = None,
    weights: str | None = None,
    *,
    argument: str = "model",
) -> Located:
    """Finds a model.

    Args:
        model: a preset name, a run directory, a `.keras` or `.tflite` file, or a
            version directory of `picanet export` with LiteRT files. None: `runs/latest`
            if it holds a finished saliency network, else the default preset; the choice
            and its reason are logged.
        weights: weights of a run, `"model"` (last checkpoint, the default) or `"best"`.
        argument: argument name used in error messages.

    Raises:
        PicanetError: if no model is found, or `weights` is given without a run.
    """
    reason = ""
    if model is None:
        found, reason = _default()
    else:
        found = _find(os.fspath(model), argument)
    if found.kind == "run":
        keras = found.run.weights(weights or "model")
        found = dataclasses.replace(found, keras=keras)
    elif weights is not None:
        raise PicanetError(
            f"`weights` goes with a run only. Received: weights={weights} with {found}"
        )
    if reason:
        logging.info("The model is %s (%s)", found, reason)
    return found


def _default() -> tuple[Located, str]:
    run, reason = _latest()
    if run:
        return Located(str(LATEST), "run", run=run), "a finished saliency network"
    preset = default_preset()
    return Located(preset.name, "preset", preset=preset), reason


def _latest() -> tuple[RunDirectory | None, str]:
    """Returns `runs/latest` if it is a finished saliency run, else None and why not."""
    if not os.path.lexists(LATEST):
        return None, "there is no runs/latest"
    try:
        run = RunDirectory.open(LATEST)
        experiment, finished = run.load_experiment(), run.finished
    except (PicanetError, OSError) as error:
        return None, f"runs/latest cannot be read: {error}"
    if experiment.task != "saliency":
        return None, f"runs/latest is for {experiment.task}: name it to use it"
    if not finished:
        done = f"step {run.last_step or 0:,} of {experiment.steps:,}"
        return None, f"runs/latest is not finished, {done}: name it to use it"
    if not (run.path / "model.keras").is_file():
        return None, "runs/latest has no model.keras"
    return run, ""


def _find(word: str, argument: str) -> Located:
    path = Path(word)
    if not word:  # An unset shell variable; Path("") is the current folder.
        raise PicanetError(f"`{argument}`: an empty name, perhaps of an unset variable")
    if path.suffix in _FILES:
        if not path.is_file():
            raise PicanetError(f"`{argument}`: there is no model file {word}")
        kind = _FILES[path.suffix]
        return Located(word, kind, **{kind: path})
    presets = {} if os.sep in word else list_presets()
    if word in presets:
        return Located(word, "preset", preset=presets[word])
    if (path / "tflite").is_dir():
        return Located(word, "litert", litert=_find_export(path, argument))
    if path.is_file():
        raise PicanetError(
            f"`{argument}`: {word} is not a model: a file must be .keras or .tflite"
        )
    versions = [file.parent for file in path.glob("[0-9]*/tflite")]
    if versions:
        raise PicanetError(
            f"`{argument}`: {word} holds versions of an export: give one, such as "
            f"{max(versions, key=lambda path: (len(path.name), path.name))}"
        )
    if path.is_dir() or os.sep in word:
        with naming_argument(argument):
            return Located(word, "run", run=RunDirectory.open(path))
    raise PicanetError(
        f"`{argument}`: there is no {word}: neither a run directory nor a file, nor "
        f"one of the presets {', '.join(presets) or '(there are none)'}"
    )


def _find_export(version: Path, argument: str) -> Path:
    """Returns the preferred LiteRT file of an export: the smallest float one first."""
    for name in ("dynamic", "float16", "float32", "int8"):
        path = version / "tflite" / f"picanet_{name}.tflite"
        if path.is_file():
            return path
    raise PicanetError(f"`{argument}`: the export {version} has no LiteRT file")
