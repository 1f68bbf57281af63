"""Predicts a video frame by frame. Imports no TensorFlow itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from picanet_tf.core.files import cannot_write
from picanet_tf.drawing.ffmpeg import alpha_video_writer
from picanet_tf.drawing.frames import check_replaceable, frames_folder, move_frames
from picanet_tf.drawing.videos import VideoError, VideoReader, video_writer
from picanet_tf.inference.base import Model

INCOMPLETE = "incomplete."  # prefix of the names of incomplete results


def predict_video(
    model: Model,
    path: Path,
    output: Path,
    *,
    draw: Callable[[np.ndarray, object], Image.Image],
    video_format: str,
    batch_size: int,
) -> None:
    """Predicts a video, and writes the results as a video of the same frame rate.

    Sound is kept if there is an ffmpeg. If part of the video cannot be read, the result
    of the rest is named after `output`, with the prefix `incomplete.`.

    Args:
        model: the model.
        path: the video.
        output: path of the result; a folder for "frames".
        draw: (frame, result) -> picture of the result.
        video_format: "mp4", or one of `drawing.ffmpeg.VIDEO_FORMATS`, which keep
            transparency.
        batch_size: frames per network call.

    Raises:
        VideoError: if the video cannot be read, or part of it is missing.
        PicanetError: if the result cannot be written.
    """
    if video_format == "frames":
        check_replaceable(incomplete_path(output))
    reader = VideoReader(path)
    mode = "RGB" if video_format == "mp4" else "RGBA"
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(output, error) from error
    with (
        _writer(output, path, reader.frames_per_second, video_format) as add,
        tqdm(total=reader.count or None, unit="frame", desc=path.name) as bar,
    ):
        named = ((None, frame) for frame in reader)
        for _, frame, result in model.predict_named(named, batch_size):
            add(np.asarray(draw(frame, result).convert(mode)))
            bar.update()
    if reader.missing:
        partial = _set_aside(output)
        raise VideoError(
            f"{path}: {reader.missing:,} of its {reader.count:,} frames could not be "
            f"read; the others are in {partial}"
        )


def incomplete_path(output: Path) -> Path:
    """Returns the path of the result if part of its video cannot be read."""
    return output.with_name(INCOMPLETE + output.name)


def _set_aside(output: Path) -> Path:
    """Renames an incomplete result, which `resume` would take for a complete one."""
    partial = incomplete_path(output)
    if output.is_dir():
        move_frames(output, partial)
    else:
        output.replace(partial)
    return partial


def _writer(
    output: Path, source: Path, frames_per_second: float, video_format: str
) -> AbstractContextManager[Callable[[np.ndarray], None]]:
    if video_format == "frames":
        return frames_folder(output)
    if video_format == "mp4":
        return video_writer(output, frames_per_second, sound=source)
    return alpha_video_writer(output, frames_per_second, video_format, sound=source)
