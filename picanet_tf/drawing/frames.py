"""Writes the frames of a video as a folder of pictures."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from picanet_tf.core.directories import publishing
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import cannot_write
from picanet_tf.core.pictures import encode_picture

_FRAME = re.compile(r"\d{6,}\.png")


def is_frame(name: str) -> bool:
    """Whether a file name is that of a frame, such as `000001.png`."""
    return _FRAME.fullmatch(name) is not None


@contextlib.contextmanager
def frames_folder(path: Path) -> Iterator[Callable[[np.ndarray], None]]:
    """Yields a function that adds a frame, uint8 [H, W, 4], to a new folder.

    Frames are `000001.png`, `000002.png` and so on. The folder appears once all frames
    are written; it replaces an earlier one.

    Raises:
        PicanetError: if it cannot be written, or `path` exists and contains anything
            other than frames.
    """
    path = Path(path)
    check_replaceable(path)
    with publishing(path, overwrite=True) as staged:
        number = 0

        def add(frame: np.ndarray) -> None:
            nonlocal number
            number += 1
            try:
                target = staged.folder / f"{number:06}.png"
                target.write_bytes(encode_picture(frame))
            except OSError as error:
                raise cannot_write(path, error) from error

        yield add
        check_replaceable(path)  # Again, for what came meanwhile.


def move_frames(folder: Path, target: Path) -> None:
    """Renames a folder of frames to `target`, replacing an earlier one.

    Raises:
        PicanetError: see `frames_folder`.
    """
    check_replaceable(target)
    with publishing(target, overwrite=True) as staged:
        folder.rename(staged.folder)


def check_replaceable(path: Path) -> None:
    """Raises `PicanetError` if a path exists and is not a folder of frames."""
    if path.exists() and not (
        path.is_dir() and all(is_frame(inner.name) for inner in path.iterdir())
    ):
        raise PicanetError(
            f"Cannot write {path}: it exists and is not a folder of frames. Move it, "
            "or give `output`"
        )
