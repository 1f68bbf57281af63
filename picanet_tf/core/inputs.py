"""Resolves a command's input files and their output paths."""

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
    """An input file.

    Attributes:
        path: path of the file.
        place: path relative to the folder or pattern root it was found in, or the file
            name if it was named explicitly; results keep this relative path.
        scanned: whether it was found in a folder or by a pattern.
    """

    path: Path
    place: Path
    scanned: bool = False

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEO_EXTENSIONS


def find_inputs(words: Sequence[str]) -> list[Input]:
    """Resolves command-line words to input files.

    Args:
        words: each a file with any extension; a folder, searched recursively for
            images; or a pattern with `*`, `?`, `[...]` or `**`, which matches images
            and videos.

    Returns:
        The files without duplicates, in the order of the words; files of a folder or
        pattern in natural order.

    Raises:
        PicanetError: if a file does not exist, a folder or pattern yields no files, or
            `..` follows a wildcard, which makes relative output paths ambiguous.
    """
    found: dict[tuple[str, str], Input] = {}
    for word in words:
        for item in _find(word):
            where = os.path.realpath(item.path.parent), item.path.name
            found.setdefault(where, item)
    return list(found.values())


def _find(word: str) -> list[Input]:
    if not word:  # An unset shell variable; Path("") is the current folder.
        raise PicanetError("`input`: an empty name")
    path = Path(word)
    if path.is_dir():
        images = list_images(path, recursive=True)
        if not images:
            raise PicanetError(f"`input`: no images in {word}")
        return [Input(image, image.relative_to(path), True) for image in images]
    # Try it as a file name first: a file may be called photo[1].jpg.
    if path.exists():
        return [Input(path, Path(path.name))]
    if not glob.has_magic(word):
        raise PicanetError(f"`input`: there is no {word}")
    root = _fixed_part(path)
    pattern = path.parts[len(root.parts) :]
    if ".." in pattern:
        raise PicanetError(f"`input`: .. may not follow a wildcard. Received: {word}")
    known = EXTENSIONS | VIDEO_EXTENSIONS
    matches = [
        match
        for match in dict.fromkeys(_matches(root, pattern))
        if match.suffix.lower() in known and (match.is_file() or not match.exists())
    ]
    if not matches:
        raise PicanetError(f"`input`: no images match {word}")
    matches.sort(key=lambda match: natural_key(str(match)))
    return [Input(match, match.relative_to(root), True) for match in matches]


def _fixed_part(pattern: Path) -> Path:
    """Returns the folder before the first component with a wildcard."""
    fixed = []
    for part in pattern.parent.parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)


def _matches(root: Path, pattern: Sequence[str]) -> Iterator[Path]:
    """Like `glob.iglob`, but visits each folder once, even with symlink loops."""
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
    """Yields folders and their files without hidden ones; symlinked folders last."""
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
) -> list[tuple[Input, Path]]:
    """Assigns each input an output path below `folder`.

    `cat.jpg` is written to `cat.png`. Inputs whose outputs would collide all keep their
    extension: `cat.jpg` and `cat.webp` are written to `cat.jpg.png` and `cat.webp.png`,
    independently of their order.

    Raises:
        PicanetError: if two inputs still map to the same file, or a result would
            overwrite one of the inputs.
    """
    folder, inputs = Path(folder), list(inputs)
    short = [_result(item, item.place.stem, suffix, video_suffix) for item in inputs]
    often = Counter(short)
    outputs: dict[Path, Path] = {}
    # Not `Path.resolve`, which raises on symlink loops.
    taken = {os.path.realpath(item.path) for item in inputs}
    pairs = []
    for item, place in zip(inputs, short, strict=True):
        if often[place] > 1:
            place = _result(item, item.place.name, suffix, video_suffix)
        output = folder / place
        if output in outputs:
            raise PicanetError(
                f"`output`: {outputs[output]} and {item.path} would both go to {output}"
            )
        if os.path.realpath(output) in taken:
            raise PicanetError(
                f"`output`: the result of {item.path} would overwrite the input "
                f"{output}"
            )
        outputs[output] = item.path
        pairs.append((item, output))
    return pairs


def _result(item: Input, name: str, suffix: str, video_suffix: str) -> Path:
    # Not `with_name`, which rejects the name "." ("..jpg" without its suffix).
    return item.place.parent / (name + (video_suffix if item.is_video else suffix))
