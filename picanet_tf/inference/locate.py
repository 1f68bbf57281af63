"""What `--model` means: a preset, a run, or a file. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

from absl import logging

from picanet_tf.core.errors import PicanetError
from picanet_tf.presets import Preset, default_preset, list_presets
from picanet_tf.training.run_directory import RunDirectory

LATEST = Path("runs") / "latest"
_FILES = {".keras": "keras", ".tflite": "litert"}  # suffix: kind
DESCRIPTION = (
    "A preset's name (see picanet models), a run directory, or a .keras or .tflite "
    "file. Default: runs/latest when it holds a finished saliency network, else the "
    "preset that ships."
)


@dataclass(frozen=True, eq=False)
class Located:
    """A model that was found, not loaded.

    Attributes:
        name: what to call it.
        kind: "preset", "run", "keras" or "litert".
        keras: its `.keras` file; None of presets and LiteRT files.
        litert: its LiteRT file; None where there is none. Of a preset use
            `preset.path("litert")`, which checks and downloads.
        preset: the preset, if it is one.
        run: the run, if it is one.
    """

    name: str
    kind: str
    keras: Path | None = None
    litert: Path | None = None
    preset: Preset | None = None
    run: RunDirectory | None = None

    @property
    def has_litert(self) -> bool:
        """Whether there is a LiteRT file to predict with."""
        return self.litert is not None or (
            self.preset is not None and "litert" in self.preset.files
        )

    @property
    def has_network(self) -> bool:
        """Whether Keras can build the network itself."""
        return self.keras is not None or self.preset is not None

    def require_network(self, argument: str = "model") -> None:
        """Raises `PicanetError` where there is only a LiteRT file.

        Args:
            argument: what the error calls it.
        """
        if not self.has_network:
            raise PicanetError(
                f"`{argument}` {self.name}: a LiteRT file predicts, and no more. Name "
                "the run, the .keras file or the preset that it was made from"
            )

    def file(self, engine: str | None = None) -> Path:
        """The file that an engine loads; None is what `load_model` would take."""
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
        model: a preset's name; a run directory; a `.keras` or `.tflite` file; a version
            directory of `export.py` that has LiteRT files. None: `runs/latest` when it
            holds a finished saliency network, else the default preset; a line of the
            log says which, and why.
        weights: of a run, `"model"` (the default: those of the last checkpoint) or
            `"best"`.
        argument: what errors call it.

    Raises:
        PicanetError: there is none; `weights` for something that is no run.
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
    """The finished saliency network of `runs/latest`, or why there is none."""
    if not os.path.lexists(LATEST):
        return None, "there is no runs/latest"
    try:
        run = RunDirectory.open(LATEST)
        experiment = run.load_experiment()
    except (PicanetError, OSError) as error:
        return None, f"runs/latest cannot be read: {error}"
    if experiment.task != "saliency":
        return None, f"runs/latest is for {experiment.task}: name it to take it"
    step = run.last_step
    if step is None or step < experiment.steps:
        done = f"step {step or 0:,} of {experiment.steps:,}"
        return None, f"runs/latest is not finished, {done}: name it to take it"
    if not (run.path / "model.keras").is_file():
        return None, "runs/latest has no model.keras"
    return run, ""


def _find(word: str, argument: str) -> Located:
    path = Path(word)
    if not word:  # An unset shell variable; Path would take it for this folder.
        raise PicanetError(f"`{argument}`: an empty name")
    if path.suffix in _FILES:
        if not path.is_file():
            raise PicanetError(f"`{argument}`: there is no model file {word}")
        kind = _FILES[path.suffix]
        return Located(word, kind, **{kind: path})
    presets = {} if os.sep in word else list_presets()
    if word in presets:
        return Located(word, "preset", preset=presets[word])
    if (path / "tflite").is_dir():
        return Located(word, "litert", litert=_exported(path, argument))
    if path.is_file():
        raise PicanetError(
            f"`{argument}`: {word} is no model: a file must be .keras or .tflite"
        )
    if path.is_dir() or os.sep in word:
        return Located(word, "run", run=RunDirectory.open(path))
    raise PicanetError(
        f"`{argument}`: there is no {word}: neither a run directory nor a file, nor "
        f"one of the presets {', '.join(presets) or '(there are none)'}"
    )


def _exported(version: Path, argument: str) -> Path:
    """The LiteRT file of an export: its smallest in float precision or better."""
    for name in ("dynamic", "float16", "float32", "int8"):
        path = version / "tflite" / f"picanet_{name}.tflite"
        if path.is_file():
            return path
    raise PicanetError(f"`{argument}`: the export {version} has no LiteRT file")
