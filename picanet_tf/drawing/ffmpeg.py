"""Writes videos with an alpha channel, and adds sound, using the program ffmpeg.

The `ffmpeg` on the PATH is used, otherwise that of the package imageio-ffmpeg.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import FULL, DiskFullError, replacing

INSTALL = "pip install imageio-ffmpeg"
# Video formats with transparency; "frames" is a folder of PNGs, without ffmpeg.
VIDEO_FORMATS = ("webm", "mov", "frames")

_QUIET = ("-hide_banner", "-loglevel", "error", "-y")
# BT.709 is what players assume; ffmpeg's default for RGB is BT.601.
_FILTER = (
    "scale=out_color_matrix=bt709:out_range=tv,format={},setparams=range=tv"
    ":colorspace=bt709:color_primaries=bt709:color_trc=bt709"
)
_CODECS = {
    "webm": (
        *("-vf", _FILTER.format("yuva420p"), "-c:v", "libvpx-vp9"),
        *("-crf", "20", "-b:v", "0", "-auto-alt-ref", "0"),
        *("-deadline", "good", "-cpu-used", "4", "-row-mt", "1", "-c:a", "libopus"),
    ),
    # What video editors expect.
    "mov": (
        *("-vf", _FILTER.format("yuva444p10le"), "-c:v", "prores_ks"),
        *("-profile:v", "4444", "-c:a", "aac", "-b:a", "192k"),
    ),
}
# libopus rejects some arrangements of surround sound.
_LAYOUTS = ("-af", "aformat=channel_layouts=7.1|5.1|stereo|mono")


class FFmpegError(PicanetError):
    """There is no ffmpeg, or it fails."""


def find_ffmpeg() -> str | None:
    """Returns the path of ffmpeg, or None if there is none."""
    if found := shutil.which("ffmpeg"):
        return found
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):  # No package, or no binary for this system.
        return None


def require_ffmpeg() -> str:
    """Returns the path of ffmpeg.

    Raises:
        FFmpegError: if there is none.
    """
    found = find_ffmpeg()
    if found is None:
        raise FFmpegError(
            "`video_format` webm and mov require ffmpeg. Install it, for example with "
            f"`{INSTALL}`, or use frames"
        )
    return found


@contextlib.contextmanager
def alpha_video_writer(
    path: str | os.PathLike,
    frames_per_second: float,
    video_format: str,
    *,
    sound: str | os.PathLike | None = None,
) -> Iterator[Callable[[np.ndarray], None]]:
    """Yields a function that adds a frame, uint8 [H, W, 4], RGBA, to a video.

    All frames must have the same size, whose sides may be odd. The file appears once it
    is complete; after an exception, ffmpeg is ended.

    Args:
        path: path of the video.
        frames_per_second: frame rate.
        video_format: "webm" (VP9) or "mov" (ProRes 4444).
        sound: video whose sound, if any, is kept.

    Raises:
        FFmpegError: if there is no ffmpeg, or it fails; with its message.
        PicanetError: if the file cannot be written.
    """
    path, program = Path(path), require_ffmpeg()
    process: subprocess.Popen | None = None
    first: tuple[int, ...] = ()
    rate = Fraction(frames_per_second).limit_denominator(1001)  # 30000/1001

    def start(height: int, width: int) -> subprocess.Popen:
        line = [program, *_QUIET, "-f", "rawvideo", "-pixel_format", "rgba"]
        line += ["-video_size", f"{width}x{height}", "-framerate", str(rate)]
        line += ["-i", "pipe:0"]
        if sound is not None:
            line += ["-i", _url(sound), "-map", "0:v:0", "-map", "1:a?", *_LAYOUTS]
        line += [*_CODECS[video_format], "-map_metadata", "-1", _url(temporary)]
        return subprocess.Popen(line, stdin=subprocess.PIPE, stderr=errors)

    def add(frame: np.ndarray) -> None:
        nonlocal process, first
        if process is None:
            process, first = start(*frame.shape[:2]), frame.shape
        if frame.shape != first:
            height, width = frame.shape[:2]
            raise FFmpegError(
                f"{path}: a frame of another size, {height} x {width}, than the first, "
                f"{first[0]} x {first[1]} (height x width)"
            )
        try:
            process.stdin.write(np.ascontiguousarray(frame).data)
        except BrokenPipeError:  # ffmpeg has ended; `_finish` raises the reason.
            _finish(process, path, errors)
            raise FFmpegError(f"{path}: ffmpeg ended too early") from None

    # Errors go to a file: nothing would read a pipe while frames are written.
    with replacing(path) as temporary, tempfile.TemporaryFile() as errors:
        try:
            yield add
            if process is not None:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
                _finish(process, path, errors)
        finally:
            if process is not None:
                process.kill()
                with contextlib.suppress(OSError):  # Unwritten frames.
                    process.stdin.close()
                process.wait()


def add_sound(video: Path, source: str | os.PathLike, name: str | os.PathLike) -> None:
    """Adds the sound of `source`, if it has any, to an MP4 without sound.

    Args:
        video: the MP4, changed in place.
        source: video with the sound.
        name: name of the MP4 in error messages.

    Raises:
        FFmpegError: if there is no ffmpeg, or it fails; the video is then unchanged.
    """
    program = find_ffmpeg()
    if program is None:
        raise FFmpegError(f"keeping it requires ffmpeg; `{INSTALL}`")
    if not _has_sound(program, source):
        return
    both = video.with_name(f"{video.name}.sound{video.suffix}")
    line = [program, *_QUIET, "-nostdin", "-i", _url(video), "-i", _url(source)]
    line += ["-map", "0:v:0", "-map", "1:a", "-c:v", "copy", "-c:a", "aac"]
    line += ["-b:a", "192k", "-map_metadata", "-1", _url(both)]
    try:
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(line, stderr=errors)
            try:
                _finish(process, name, errors)
            finally:
                process.kill()
                process.wait()
        os.replace(both, video)
    finally:
        both.unlink(missing_ok=True)


def _url(path: str | os.PathLike) -> str:
    # A protocol is given because a name may contain a colon.
    return f"file:{os.fspath(path)}"


def _has_sound(program: str, path: str | os.PathLike) -> bool:
    # Without an output, ffmpeg describes the input, and fails.
    line = [program, "-hide_banner", "-nostdin", "-i", _url(path)]
    description = subprocess.run(line, capture_output=True).stderr
    return re.search(rb"Stream #.*: Audio: ", description) is not None


def _finish(
    process: subprocess.Popen, path: str | os.PathLike, errors: BinaryIO
) -> None:
    """Waits until ffmpeg has ended.

    Args:
        process: the process of ffmpeg.
        path: the output, for error messages.
        errors: file with what it printed to standard error.

    Raises:
        DiskFullError: if the disk is full.
        FFmpegError: if it failed otherwise, with the first line that it printed.
    """
    code = process.wait()
    if code == 0:
        return
    errors.seek(0)
    lines = errors.read().decode(errors="replace").splitlines()
    reason = next(filter(None, map(str.strip, lines)), f"exit code {code}")
    text = " ".join(lines)
    if any(os.strerror(number) in text for number in FULL):
        raise DiskFullError(f"Cannot write {path}: the disk is full")
    raise FFmpegError(f"Cannot write {path}: ffmpeg: {reason}")
