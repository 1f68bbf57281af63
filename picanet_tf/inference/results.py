"""Where `predict` puts its results, and which files are some already."""

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
    """Refuses a folder that cannot be written, or was hardly meant as one."""
    folder = check_writable(check_folder(output))
    named_as_file = folder.suffix.lower() in EXTENSIONS and not folder.is_dir()
    if named_as_file or output == "-":
        raise PicanetError(
            f"`output`: {output} is meant as a folder. Give a folder's name, or none "
            "for results beside the inputs; a single result goes to standard output "
            "by picanet predict - < photo.jpg > result.png"
        )


def check_beside(inputs: Iterable[Input]) -> None:
    """Refuses inputs in a folder that cannot be written."""
    for folder in {item.path.parent for item in inputs}:
        try:
            check_writable(folder)
        except PicanetError as error:
            raise PicanetError(
                f"{error}. Results go beside their inputs unless `output` names a "
                "folder for them"
            ) from error


def without_results(inputs: Sequence[Input]) -> tuple[list[Input], int]:
    """The inputs but for results of earlier calls, and how many those are.

    Of what a folder or a pattern found, `NAME.cutout.png` is one, and a video
    `NAME.saliency.mp4`. So are, also where they are named (a shell spells `*` out),
    `NAME.cutout.png`, `NAME.map.png` and the like if the photo `NAME.*` is there too.
    """
    # Of c.jpg and c.webp in one folder, the results are c.jpg.map.png and so on.
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
        raise PicanetError("`input`: nothing but results of earlier calls")
    return kept, len(inputs) - len(kept)


def outputs_of(
    inputs: Sequence[Input],
    folder: str | None,
    *,
    form: str,
    task: str,
    overwrite: bool,
) -> list[tuple[Input, Path]]:
    """Where each input's result goes.

    Args:
        inputs: without results.
        folder: for the results; None puts each beside its input.
        form: of the results, which names those beside.
        task: of the network, which names those of videos; "" without videos.
        overwrite: whether a file beside an input, where `folder` is its own, may be a
            result and not a photo of the user's.

    Raises:
        PicanetError: a result would overwrite an input, another result, or, unless
            `overwrite`, a file beside its input.
    """
    video_suffix = f".{task}.mp4"
    if folder is None:
        return _beside(inputs, f".{form}.png", video_suffix)
    pairs = assign_outputs(inputs, folder, video_suffix=video_suffix)
    for item, output in pairs:
        in_place = os.path.realpath(output.parent) == os.path.realpath(item.path.parent)
        if in_place and output.exists() and not overwrite:
            raise PicanetError(
                f"`output`: the result of {item.path} would overwrite {output} beside "
                "it. Give another folder, or leave `output` out"
            )
    return pairs


def _beside(
    inputs: Sequence[Input], suffix: str, video_suffix: str
) -> list[tuple[Input, Path]]:
    """`cat.jpg` -> `cat.cutout.png`, whatever else is in the call.

    Where `cat.webp` lies beside it, `cat.jpg.cutout.png` and `cat.webp.cutout.png`.
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
    """How many photos and videos of the folder have each name."""
    known = EXTENSIONS | VIDEO_EXTENSIONS
    return Counter(p.stem for p in folder.iterdir() if p.suffix.lower() in known)
