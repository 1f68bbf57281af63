"""Output paths of `predict`, and detection of results of earlier runs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import EXTENSIONS
from picanet_tf.core.inputs import (
    VIDEO_EXTENSIONS,
    Input,
    assign_outputs,
)
from picanet_tf.core.path_checks import check_folder, check_writable
from picanet_tf.tasks.registry import get_spec, task_names


def check_output(output: str) -> None:
    """Raises `PicanetError` if `output` is not writable or looks like a file name."""
    folder = check_writable(check_folder(output))
    named_as_file = folder.suffix.lower() in EXTENSIONS and not folder.is_dir()
    if named_as_file or output == "-":
        raise PicanetError(
            f"`output` must be a folder. Received: {output}. Omit it to write results "
            "next to the inputs; to write one result to standard output use "
            "picanet predict - < photo.jpg > result.png"
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


def without_results(inputs: Sequence[Input]) -> tuple[list[Input], int]:
    """Drops results of earlier runs; returns the other inputs and the number dropped.

    Among files found in a folder or by a pattern, `NAME.cutout.png` and videos
    `NAME.saliency.mp4` are results. Among all files, including those named explicitly
    (the shell may have expanded `*`), so are `NAME.cutout.png`, `NAME.map.png` and the
    like if the photo `NAME.*` is also an input.
    """
    # For c.jpg and c.webp in one folder, the results are c.jpg.map.png and so on.
    stems = {
        (item.path.parent, name)
        for item in inputs
        for name in (item.path.stem, item.path.name)
    }

    formats = {form for task in task_names() for form in get_spec(task).formats}

    def is_result(item: Input) -> bool:
        name, _, form = item.path.stem.rpartition(".")
        if (
            item.scanned
            and name
            and form in task_names()
            and item.path.suffix == ".mp4"
        ):
            return True
        if not name or form not in formats or item.path.suffix != ".png":
            return False
        if form == "cutout" and item.scanned:
            return True
        return (item.path.parent, name) in stems

    kept = [item for item in inputs if not is_result(item)]
    if not kept:
        raise PicanetError("`input`: only results of earlier runs found")
    return kept, len(inputs) - len(kept)


def outputs_of(
    inputs: Sequence[Input],
    folder: str | None,
    *,
    form: str,
    task: str,
    overwrite: bool,
) -> list[tuple[Input, Path]]:
    """Assigns each input its output path.

    Args:
        inputs: inputs without results of earlier runs.
        folder: folder for the results; None: next to each input.
        form: output format, part of the name of results next to their input.
        task: task of the network, part of the name of videos; "" without videos.
        overwrite: whether existing files may be overwritten if `folder` is the input's
            own folder.

    Raises:
        PicanetError: if a result would overwrite an input, another result or, unless
            `overwrite`, an existing file next to its input.
    """
    video_suffix = f".{task}.mp4"
    if folder is None:
        return _beside(inputs, f".{form}.png", video_suffix)
    pairs = assign_outputs(inputs, folder, video_suffix=video_suffix)
    for item, output in pairs:
        in_place = os.path.realpath(output.parent) == os.path.realpath(item.path.parent)
        if in_place and output.exists() and not overwrite:
            raise PicanetError(
                f"`output`: the result of {item.path} would overwrite {output} next "
                "to it. Give another folder, or omit `output`"
            )
    return pairs


def _beside(
    inputs: Sequence[Input], suffix: str, video_suffix: str
) -> list[tuple[Input, Path]]:
    """`cat.jpg` -> `cat.cutout.png`, independently of the other inputs.

    If `cat.webp` is in the same folder: `cat.jpg.cutout.png`, `cat.webp.cutout.png`.
    """
    placed = assign_outputs(
        [item._replace(place=item.path) for item in inputs],
        "",
        suffix=suffix,
        video_suffix=video_suffix,
    )
    folders = {item.path.parent for item in inputs}
    stems = {folder: _stems(folder) for folder in folders}
    pairs = []
    for item, output in placed:
        if stems[item.path.parent][item.path.stem] > 1:
            end = video_suffix if item.is_video else suffix
            output = item.path.parent / (item.path.name + end)
        pairs.append((item, output))
    return pairs


def _stems(folder: Path) -> Counter:
    """Counts the images and videos of a folder by stem."""
    known = EXTENSIONS | VIDEO_EXTENSIONS
    return Counter(p.stem for p in folder.iterdir() if p.suffix.lower() in known)
