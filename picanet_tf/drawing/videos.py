"""Reads and writes videos as streams of frames; imports OpenCV lazily."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
from absl import logging

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import replacing
from picanet_tf.drawing.ffmpeg import FFmpegError, add_sound
from picanet_tf.drawing.opencv import import_opencv


class VideoError(PicanetError):
    """A video cannot be read or written. The message starts with its path."""


class VideoReader:
    """Iterates over the frames of a video.

    Args:
        path: path of the video.

    Attributes:
        frames_per_second: frame rate according to the file, or 25 if unknown.
        count: number of frames according to the file, or 0 if unknown.
        missing: number of these that could not be read, set at the end. It is 0, with a
            warning, if less than a tenth is missing, because some files only estimate
            their count.

    Raises:
        VideoError: if it cannot be opened, or OpenCV is not installed.

    Example:
        >>> reader = VideoReader("clip.mp4")
        >>> for frame in reader:    # uint8 [H, W, 3], RGB, turned upright
        ...     ...
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        cv2 = _opencv()
        with _utf8_path(self.path) as name:
            self._capture = cv2.VideoCapture(name)
        if not self._capture.isOpened():
            reason = "not a video that OpenCV can read"
            raise VideoError(
                f"{path}: {reason if self.path.exists() else 'no such file'}"
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        # Some files give 0, NaN, or clock ticks.
        self.frames_per_second = rate if 0 < rate <= 1000 else 25.0
        self.count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.missing = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        cv2 = _opencv()
        number = 0
        while True:
            success, frame = self._capture.read()
            if not success:
                break
            number += 1
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        self._capture.release()
        if number == 0:
            raise VideoError(f"{self.path}: no frame can be read")
        # OpenCV treats corrupt data as the end of the file.
        if number < 0.9 * self.count:
            self.missing = self.count - number
        elif number < self.count:
            logging.warning(
                "%s: %d of %d frames were read; its end is corrupt, or its frame count "
                "is an estimate",
                *(self.path, number, self.count),
            )


@contextlib.contextmanager
def video_writer(
    path: str | os.PathLike,
    frames_per_second: float,
    *,
    sound: str | os.PathLike | None = None,
) -> Iterator[Callable[[np.ndarray], None]]:
    """Yields a function that adds a frame, uint8 [H, W] or [H, W, 3], to an MP4.

    All frames must have the same size. Odd sides are cropped by one pixel, because
    MPEG-4 requires even sides. The file appears once it is complete.

    Args:
        path: path of the video.
        frames_per_second: frame rate.
        sound: video whose sound, if any, is kept. If it cannot be, a warning gives the
            reason.

    Raises:
        VideoError: if OpenCV is not installed or has no encoder for MP4.
        PicanetError: if the file cannot be written.
    """
    cv2, path = _opencv(), Path(path)
    writer = first = None
    number = 0

    def add(frame: np.ndarray) -> None:
        nonlocal writer, first, number
        frame = frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]
        height, width = frame.shape[:2]
        if writer is None:
            first = (height, width)
            codec = cv2.VideoWriter_fourcc(*"mp4v")
            size = (width, height)
            with _utf8_path(temporary) as name:
                writer = cv2.VideoWriter(name, codec, frames_per_second, size)
            if 0 in size or not writer.isOpened():
                raise VideoError(f"{path}: OpenCV cannot write frames of {size} here")
        if (height, width) != first:  # OpenCV would drop the frame silently.
            raise VideoError(
                f"{path}: a frame of another size, {height} x {width}, than the first, "
                f"{first[0]} x {first[1]} (height x width)"
            )
        code = cv2.COLOR_GRAY2BGR if frame.ndim == 2 else cv2.COLOR_RGB2BGR
        writer.write(cv2.cvtColor(np.ascontiguousarray(frame), code))
        number += 1

    with replacing(path) as temporary:
        try:
            yield add
        finally:
            if writer is not None:
                writer.release()
        # OpenCV does not report a full disk.
        with _utf8_path(temporary) as name:
            count = cv2.VideoCapture(name).get(cv2.CAP_PROP_FRAME_COUNT)
        if int(count) < number:
            raise PicanetError(
                f"Cannot write {path}: OpenCV did not write all frames; the disk may "
                "be full"
            )
        if sound is not None:
            try:
                add_sound(temporary, sound, path)
            except FFmpegError as error:
                logging.warning("%s has no sound: %s", path, error)


@contextlib.contextmanager
def _utf8_path(path: Path) -> Iterator[str]:
    """Yields a name under which OpenCV can open a file, valid inside the context.

    OpenCV takes names in UTF-8 and crashes on others. A file whose name is stored in
    another way gets a temporary link. The name is absolute, because OpenCV takes
    `part:` at its beginning for a protocol.
    """
    path = path.absolute()
    if str(path).encode("utf-8", "surrogatepass") != os.fsencode(path):
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / f"video{path.suffix}"
            link.symlink_to(path)
            yield str(link)
    else:
        yield str(path)


def _opencv() -> ModuleType:
    return import_opencv("Videos require", VideoError)
