"""Which files a command shall read, and where each one's result goes."""

import fnmatch
import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import EXTENSIONS, list_images, natural_key

VIDEO_EXTENSIONS = frozenset(".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg".split())


class Input(NamedTuple):
    """A file to read.

    Attributes:
        path: where it is.
        place: where it stands below the folder or pattern that it was found by, its
            own name if it was named itself; a result keeps that place.
        scanned: whether a folder or a pattern found it, not its own name.
    """

    path: Path
    place: Path
    scanned: bool = False

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEO_EXTENSIONS


def find_inputs(words: Sequence[str], *, argument: str = "input") -> list[Input]:
    """The files that the words of a command line mean.

    Args:
        words: each a file, whatever its extension; a folder, of which the images are
            taken, those of its sub-folders too; or a pattern with `*`, `?`, `[...]` or
            `**`, of which the images and videos are taken.
        argument: what errors call it.

    Returns:
        Each file once, in the order of the words, a folder's in natural order.

    Raises:
        PicanetError: a word that is no file, or an empty folder or pattern, or one in
            which `..` comes after a wildcard: a result's place could not be told.
    """
    found: dict[tuple[str, str], Input] = {}
    for word in words:
        for item in _find(word, argument):
            where = os.path.realpath(item.path.parent), item.path.name
            found.setdefault(where, item)
    return list(found.values())


def _find(word: str, argument: str) -> list[Input]:
    if not word:  # An unset shell variable; Path would take it for this folder.
        raise PicanetError(f"`{argument}`: an empty name")
    path = Path(word)
    if path.is_dir():
        images = list_images(path, recursive=True)
        if not images:
            raise PicanetError(f"`{argument}`: no images in {word}")
        return [Input(image, image.relative_to(path), True) for image in images]
    # First as a name: a file may well be called photo[1].jpg.
    if path.exists():
        return [Input(path, Path(path.name))]
    if not glob.has_magic(word):
        raise PicanetError(f"`{argument}`: there is no {word}")
    root = _fixed_part(path)
    pattern = path.parts[len(root.parts) :]
    if ".." in pattern:
        raise PicanetError(
            f"`{argument}`: .. may not follow a wildcard. Received: {word}"
        )
    known = EXTENSIONS | VIDEO_EXTENSIONS
    matches = [
        match
        for match in dict.fromkeys(_matches(root, pattern))
        if match.suffix.lower() in known and (match.is_file() or not match.exists())
    ]
    if not matches:
        raise PicanetError(f"`{argument}`: no images match {word}")
    matches.sort(key=lambda match: natural_key(str(match)))
    return [Input(match, match.relative_to(root), True) for match in matches]


def _fixed_part(pattern: Path) -> Path:
    """The folder ahead of the first part that is a pattern."""
    fixed = []
    for part in pattern.parent.parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)


def _matches(root: Path, pattern: Sequence[str]) -> Iterator[Path]:
    """`glob.iglob`, but each folder is entered once, however links go in circles."""
    if not pattern:
        yield root
        return
    part, *rest = pattern
    if part == "**":
        for folder, files in _walk(root):
            if rest:
                yield from _matches(folder, rest)
            else:
                yield from (folder / name for name in files)
    elif glob.has_magic(part):
        names = os.listdir(root) if root.is_dir() else []
        for name in sorted(fnmatch.filter(names, part)):
            if part.startswith(".") or not name.startswith("."):
                yield from _matches(root / name, rest)
    elif os.path.lexists(root / part):
        yield from _matches(root / part, rest)


def _walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Folders and the files in them, hidden ones left out; links last."""
    waiting, seen = [root], set()
    while waiting:
        folder = waiting.pop(0)
        real = os.path.realpath(folder)
        if real in seen or not folder.is_dir():
            continue
        seen.add(real)
        shown = [e for e in os.scandir(folder) if not e.name.startswith(".")]
        inner = [e for e in sorted(shown, key=lambda e: e.name) if e.is_dir()]
        own = [folder / e.name for e in inner if not e.is_symlink()]
        waiting[:0] = own
        waiting += [folder / e.name for e in inner if e.is_symlink()]
        yield folder, [e.name for e in shown if not e.is_dir()]


def assign_outputs(
    inputs: Iterable[Input],
    folder: str | os.PathLike,
    *,
    suffix: str = ".png",
    video_suffix: str = ".saliency.mp4",
    argument: str = "output",
) -> list[tuple[Input, Path]]:
    """Where each input's result goes: to its place below `folder`.

    `cat.jpg` goes to `cat.png`. Inputs that would meet there all keep their whole
    name: `cat.jpg` and `cat.webp` go to `cat.jpg.png` and `cat.webp.png`, so that no
    result depends on which came first.

    Raises:
        PicanetError: two inputs go to the same file all the same, or a result would
            overwrite one of the inputs.
    """
    folder, inputs = Path(folder), list(inputs)
    short = [_result(item, item.place.stem, suffix, video_suffix) for item in inputs]
    often = Counter(short)
    outputs: dict[Path, Path] = {}
    # Not `Path.resolve`, which raises where links go in a circle.
    taken = {os.path.realpath(item.path) for item in inputs}
    pairs = []
    for item, place in zip(inputs, short, strict=True):
        if often[place] > 1:
            place = _result(item, item.place.name, suffix, video_suffix)
        output = folder / place
        if output in outputs:
            raise PicanetError(
                f"`{argument}`: {outputs[output]} and {item.path} would both go to "
                f"{output}"
            )
        if os.path.realpath(output) in taken:
            raise PicanetError(
                f"`{argument}`: the result of {item.path} would overwrite the input "
                f"{output}"
            )
        outputs[output] = item.path
        pairs.append((item, output))
    return pairs


def _result(item: Input, name: str, suffix: str, video_suffix: str) -> Path:
    # Not `with_name`, which takes no "." for a name: of "..jpg", a suffix follows.
    return item.place.parent / (name + (video_suffix if item.is_video else suffix))
