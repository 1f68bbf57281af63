"""Assigns inputs their output paths."""

import functools
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.inputs import Input


class OutputClash(PicanetError):
    """A result would overwrite an input or another result.

    Attributes:
        inputs: the inputs whose results cannot both be written.
    """

    def __init__(self, message: str, *inputs: Path):
        super().__init__(message)
        self.inputs = inputs


def assign_outputs(
    inputs: Iterable[Input],
    folder: str | os.PathLike,
    *,
    suffix: str = ".png",
    video_suffix: str = ".saliency.mp4",
    keeps_extension: Callable[[Input], bool] = lambda item: False,
) -> list[tuple[Input, Path]]:
    """Assigns each input an output path below `folder`.

    `cat.jpg` is written to `cat.png`. Inputs whose outputs would collide all keep their
    extension: `cat.jpg` and `cat.webp` are written to `cat.jpg.png` and `cat.webp.png`,
    independently of their order. Names that differ in case only collide, too, as they
    do on many disks. Inputs for which `keeps_extension` is true keep theirs as well.

    Args:
        inputs: the inputs, from `scan_inputs`.
        folder: folder below which each result keeps its input's place.
        suffix: extension of an image's result.
        video_suffix: extension of a video's result.
        keeps_extension: whether an input always keeps its extension.

    Returns:
        (input, output path) pairs, in the order of the inputs.

    Raises:
        OutputClash: if two inputs still map to the same file, on a disk that ignores
            case also of names that differ in case only, or a result would overwrite
            one of the inputs.
    """
    folder, inputs = Path(folder), list(inputs)
    short = [_result(item, item.place.stem, suffix, video_suffix) for item in inputs]
    often = Counter(map(_without_case, short))
    outputs: dict[Path, Path] = {}
    without_case: dict[str, Path] = {}
    # Not `Path.resolve`, which raises on symlink loops.
    taken = {os.path.realpath(item.path) for item in inputs}
    pairs = []
    for item, place in zip(inputs, short, strict=True):
        if often[_without_case(place)] > 1 or keeps_extension(item):
            place = _result(item, item.place.name, suffix, video_suffix)
        output = folder / place
        other = outputs.get(output)
        near = without_case.setdefault(_without_case(output), item.path)
        if other is None and near != item.path and _ignores_case(output.parent):
            other = near
        if other is not None:
            raise OutputClash(
                f"`output`: {other} and {item.path} would both go to {output}. Rename "
                "one of them",
                *(other, item.path),
            )
        if os.path.realpath(output) in taken:
            raise OutputClash(
                f"`output`: the result of {item.path} would overwrite the input "
                f"{output}",
                item.path,
            )
        outputs[output] = item.path
        pairs.append((item, output))
    return pairs


def find_searched(inputs: Sequence[Input], folder: str | os.PathLike) -> Path | None:
    """Returns an output folder in which inputs were found; None if there is none.

    The next run would take the results in it for inputs.

    Args:
        inputs: the inputs.
        folder: the folder below which each result keeps its input's place.
    """
    real = functools.cache(os.path.realpath)
    searched = {real(item.path.parent) for item in inputs if item.scanned}
    targets = (Path(folder) / item.place.parent for item in inputs)
    return next((target for target in targets if real(target) in searched), None)


def find_overwritten(
    pairs: Iterable[tuple[Input, Path]],
) -> tuple[Input, Path] | None:
    """Returns the first input next to which its output exists; None if there is none.

    The existing file may be another photo.
    """
    for item, output in pairs:
        in_place = os.path.realpath(output.parent) == os.path.realpath(item.path.parent)
        if in_place and os.path.exists(output):
            return item, output
    return None


def _ignores_case(folder: Path) -> bool:
    """Whether names in a folder, which may be still to be created, ignore case."""
    while not os.path.exists(folder) and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.NamedTemporaryFile(prefix=".case", dir=folder) as file:
            path = Path(file.name)
            return path.with_name(path.name.upper()).exists()
    except OSError:  # Nothing can be written there, which is reported in time.
        return False


def _without_case(place: Path) -> str:
    return str(place).casefold()


def _result(item: Input, name: str, suffix: str, video_suffix: str) -> Path:
    # Not `with_name`, which rejects the name "." ("..jpg" without its suffix).
    return item.place.parent / (name + (video_suffix if item.is_video else suffix))
