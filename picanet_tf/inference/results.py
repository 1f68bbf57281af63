"""Output paths of `predict`, and detection of results of earlier runs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import EXTENSIONS
from picanet_tf.core.inputs import VIDEO_EXTENSIONS, Found, Input
from picanet_tf.core.outputs import (
    assign_outputs,
    find_overwritten,
    find_searched,
)
from picanet_tf.core.passed_over import Reason
from picanet_tf.core.path_checks import check_folder, check_writable
from picanet_tf.core.pictures import OUTPUT_EXTENSIONS
from picanet_tf.drawing.ffmpeg import VIDEO_FORMATS
from picanet_tf.drawing.frames import is_frame
from picanet_tf.inference.base import Model
from picanet_tf.inference.options import CUTOUT, PredictOptions
from picanet_tf.inference.videos import INCOMPLETE
from picanet_tf.tasks.registry import get_spec, task_names

_LONGEST_NAME = 255  # bytes, on all common file systems
_OTHER_FOLDER = (
    "Give another folder, or omit `output` for results such as NAME.cutout.png next to "
    "the inputs"
)


def check_output(output: str) -> None:
    """Raises `PicanetError` if `output` is not writable or looks like a file name."""
    folder = check_writable(check_folder(output))
    named_as_file = folder.suffix.lower() in EXTENSIONS and not folder.is_dir()
    if named_as_file or output == "-":
        raise PicanetError(
            f"`output` must be a folder. Received: {output}. Omit it to write results "
            "next to the inputs; to write one result to standard output use "
            "picanet predict - --format cutout < photo.jpg > result.png"
        )


def check_beside(inputs: Iterable[Input]) -> None:
    """Raises `PicanetError` if the folder of an input is not writable."""
    for folder in {item.path.parent for item in inputs}:
        try:
            check_writable(folder)
        except PicanetError as error:
            raise PicanetError(
                f"{error}. Results are written next to their inputs unless `output` "
                "is given"
            ) from error


class Endings(NamedTuple):
    """The suffixes of the names of results.

    Attributes:
        picture: extension of pictures in an output folder.
        beside: suffix of pictures next to their input, such as ".cutout.png".
        video: suffix of videos, and of folders of frames.
    """

    picture: str
    beside: str
    video: str

    @classmethod
    def of(cls, options: PredictOptions, model: Model | None) -> Endings:
        """Returns the suffixes.

        Args:
            options: options.
            model: the model; None if there are no videos, and the output folder or
                format is given.
        """
        form = options.form or ""
        if model is not None:
            form = options.photo_form(model.spec)
        video = ""
        if model is not None:
            video_form = options.video_form(model.spec)
            file_format = options.resolve_video_format(video_form)
            kind = CUTOUT if video_form == CUTOUT else model.spec.name
            video = f".{kind}" + ("" if file_format == "frames" else f".{file_format}")
        return cls(options.extension, f".{form}{options.extension}", video)


def without_results(found: Found) -> Found:
    """Passes over the results of earlier runs.

    Among files found in a folder or by a pattern, these are `NAME.cutout.png` (or
    another extension of results), videos such as `NAME.saliency.mp4` and
    `NAME.cutout.webm`, and the frames in folders `NAME.cutout`. If the photo or video
    `NAME.*` is also an input, they are results even if named explicitly (the shell may
    have expanded `*`), and so are `NAME.map.png` and the like.
    """
    # For c.jpg and c.webp in one folder, the results are c.jpg.map.png and so on.
    stems = {
        (item.path.parent, name)
        for item in found.inputs
        for name in (item.path.stem, item.path.name)
    }
    formats = {form for task in task_names() for form in get_spec(task).formats}

    def is_result(item: Input) -> bool:
        name, _, form = item.path.stem.rpartition(".")
        has_source = (item.path.parent, name) in stems
        if _is_video_or_frame(item.place):
            whole = item.path.parent, name.removeprefix(INCOMPLETE)
            if item.scanned or has_source or whole in stems:
                return True
        if not name or form not in formats or item.path.suffix not in OUTPUT_EXTENSIONS:
            return False
        return has_source or (form == CUTOUT and item.scanned)

    results = {item.path: Reason.RESULT for item in found.inputs if is_result(item)}
    passed_over = {
        path: Reason.RESULT if _is_video_or_frame(path) else reason
        for path, reason in found.passed_over.items()
    }
    kept = [item for item in found.inputs if item.path not in results]
    return Found(kept, {**passed_over, **results})


def _is_video_or_frame(path: Path) -> bool:
    """Whether a file has the name of a result for a video."""
    if path.parent.suffix == f".{CUTOUT}" and is_frame(path.name):
        return True
    name, _, form = path.stem.rpartition(".")
    return bool(name) and (
        (path.suffix == ".mp4" and form in task_names())
        or (path.suffix[1:] in (*VIDEO_FORMATS, "mp4") and form == CUTOUT)
    )


def outputs_of(
    inputs: Sequence[Input],
    folder: str | None,
    *,
    endings: Endings,
    pictures: bool = True,
    overwrite: bool = False,
) -> list[tuple[Input, Path]]:
    """Assigns each input its output path.

    Args:
        inputs: inputs without results of earlier runs.
        folder: folder for the results; None: next to each input.
        endings: suffixes of the names.
        pictures: whether each input has a result of its own.
        overwrite: whether a video's existing result may be overwritten or kept if
            `folder` is the input's own folder.

    Raises:
        OutputClash: if a result would overwrite an input or another result.
        PicanetError: if `folder` is a folder that inputs are searched in, or a result
            exists next to its input, where it may be another photo.
    """
    if folder is None:
        return _beside(inputs, endings.beside, endings.video)
    if pictures:
        check_not_searched(inputs, folder)
    pairs = assign_outputs(
        inputs, folder, suffix=endings.picture, video_suffix=endings.video
    )
    # NAME.saliency.mp4 is a result.
    checked = (pair for pair in pairs if not (overwrite and pair[0].is_video))
    if pictures and (overwritten := find_overwritten(checked)):
        raise PicanetError(
            f"`output`: the result of {overwritten[0].path} would overwrite "
            f"{overwritten[1]} next to it, which may be another photo. Give another "
            "folder, or omit `output`"
        )
    return pairs


def check_not_searched(
    inputs: Sequence[Input], folder: str | os.PathLike, advice: str = _OTHER_FOLDER
) -> None:
    """Raises `PicanetError` if results in `folder` would be among scanned inputs."""
    if searched := find_searched(inputs, folder):
        raise output_is_input(searched, advice)


def output_is_input(
    folder: str | os.PathLike, advice: str = _OTHER_FOLDER
) -> PicanetError:
    """Returns the error for results in a folder that is searched for inputs."""
    return PicanetError(
        f"`output` must not be the folder of the inputs, {folder}: the next run would "
        f"take the results for photos. {advice}"
    )


def check_name_length(item: Input, output: Path, *, beside: bool = False) -> None:
    """Raises `PicanetError` if the name of a result is too long for a file.

    Args:
        item: the input.
        output: its result.
        beside: whether the result has a longer name since no folder was given for it.
    """
    length = len(os.fsencode(output.name))
    if length > _LONGEST_NAME:
        advice = "give `output` for shorter names, or " * beside + "rename the file"
        raise PicanetError(
            f"{item.path}: a file name has at most {_LONGEST_NAME} bytes, and that of "
            f"the result, with {''.join(output.suffixes[-2:])}, would have {length}. "
            f"{advice[0].upper()}{advice[1:]}"
        )


def _beside(
    inputs: Sequence[Input], suffix: str, video_suffix: str
) -> list[tuple[Input, Path]]:
    """Assigns outputs next to inputs: `cat.jpg` -> `cat.cutout.png`, for any inputs.

    If `cat.webp` is in the same folder: `cat.jpg.cutout.png`, `cat.webp.cutout.png`.
    """
    folders = {item.path.parent for item in inputs}
    stems = {folder: _stems(folder) for folder in folders}
    return assign_outputs(
        [item._replace(place=item.path) for item in inputs],
        "",
        suffix=suffix,
        video_suffix=video_suffix,
        keeps_extension=lambda item: (
            stems[item.path.parent][item.path.stem.casefold()] > 1
        ),
    )


def _stems(folder: Path) -> Counter:
    """Counts the images and videos of a folder by stem, without case."""
    known = EXTENSIONS | VIDEO_EXTENSIONS
    try:
        paths = list(folder.iterdir())
    except FileNotFoundError:  # Removed in the meantime.
        return Counter()
    found = (path.stem for path in paths if path.suffix.lower() in known)
    return Counter(stem.casefold() for stem in found)
