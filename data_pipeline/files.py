"""Which files a command shall read, and where each one's result goes."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from data_pipeline.errors import UserError
from data_pipeline.images import EXTENSIONS, list_images, natural_key

VIDEO_EXTENSIONS = frozenset(".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg".split())


class Input(NamedTuple):
    """A file to read.

    Attributes:
        path: where it is.
        place: where it stands below the folder or pattern that it was found by, its
            own name if it was named itself; a result keeps that place.
    """

    path: Path
    place: Path

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEO_EXTENSIONS


def find_inputs(words: Sequence[str], *, flag: str = "--input") -> list[Input]:
    """The files that the words of a command line mean.

    Args:
        words: each a file, whatever its extension; a folder, of which the images are
            taken, those of its sub-folders too; or a pattern with `*`, `?`, `[...]` or
            `**`, of which the images and videos are taken.
        flag: what errors call the argument.

    Returns:
        Each file once, in the order of the words, a folder's in natural order.

    Raises:
        UserError: a word that is no file, or an empty folder or pattern.
    """
    found: dict[Path, Input] = {}
    for word in words:
        for item in _find(word, flag):
            found.setdefault(item.path.absolute(), item)
    return list(found.values())


def _find(word: str, flag: str) -> list[Input]:
    if not word:  # An unset shell variable; Path would take it for this folder.
        raise UserError(f"{flag}: an empty name")
    path = Path(word)
    if path.is_dir():
        images = list_images(path, recursive=True)
        if not images:
            raise UserError(f"{flag}: no images in {word}")
        return [Input(image, image.relative_to(path)) for image in images]
    # First as a name: a file may well be called photo[1].jpg.
    if path.exists():
        return [Input(path, Path(path.name))]
    if not glob.has_magic(word):
        raise UserError(f"{flag}: there is no {word}")
    known = EXTENSIONS | VIDEO_EXTENSIONS
    matches = [
        match
        for match in map(Path, glob.iglob(word, recursive=True))
        if match.suffix.lower() in known and (match.is_file() or not match.exists())
    ]
    if not matches:
        raise UserError(f"{flag}: no images match {word}")
    matches.sort(key=lambda match: natural_key(str(match)))
    root = _fixed_part(path)
    return [Input(match, match.relative_to(root)) for match in matches]


def _fixed_part(pattern: Path) -> Path:
    """The folder ahead of the first part that is a pattern."""
    fixed = []
    for part in pattern.parent.parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)


def assign_outputs(
    inputs: Iterable[Input],
    folder: str | os.PathLike,
    *,
    suffix: str = ".png",
    video_suffix: str = ".saliency.mp4",
    flag: str = "--output",
) -> list[tuple[Input, Path]]:
    """Where each input's result goes: to its place below `folder`.

    `cat.jpg` goes to `cat.png`. Inputs that would meet there all keep their whole
    name: `cat.jpg` and `cat.webp` go to `cat.jpg.png` and `cat.webp.png`, so that no
    result depends on which came first.

    Raises:
        UserError: two inputs go to the same file all the same, or a result would
            overwrite one of the inputs.
    """
    folder, inputs = Path(folder), list(inputs)
    short = [_result(item, item.place.stem, suffix, video_suffix) for item in inputs]
    often = Counter(short)
    outputs: dict[Path, Path] = {}
    taken = {item.path.resolve() for item in inputs}
    pairs = []
    for item, place in zip(inputs, short, strict=True):
        if often[place] > 1:
            place = _result(item, item.place.name, suffix, video_suffix)
        output = folder / place
        if output in outputs:
            raise UserError(
                f"{flag}: {outputs[output]} and {item.path} would both go to {output}"
            )
        if output.resolve() in taken:
            raise UserError(
                f"{flag}: the result of {item.path} would overwrite the input {output}"
            )
        outputs[output] = item.path
        pairs.append((item, output))
    return pairs


def _result(item: Input, name: str, suffix: str, video_suffix: str) -> Path:
    return item.place.with_name(name + (video_suffix if item.is_video else suffix))


def check_folder(path: str | os.PathLike, *, flag: str = "--output") -> Path:
    """`path`, if it is a folder or could become one."""
    if Path(path).exists() and not Path(path).is_dir():
        raise UserError(f"{flag}: {path} is a file, a folder is wanted")
    return Path(path)
