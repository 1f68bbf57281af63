"""Imports OpenCV, which is optional, where it is used, and silences its messages."""

from __future__ import annotations

import contextlib
import os
from types import ModuleType

from picanet_tf.core.errors import PicanetError


def import_opencv(what: str, error: type[PicanetError] = PicanetError) -> ModuleType:
    """Returns the module `cv2`.

    Args:
        what: start of the error message, such as "Videos require".
        error: class of the error.

    Raises:
        PicanetError: of class `error`, if OpenCV is not installed.
    """
    # Hundreds of messages from OpenCV and FFmpeg would hide ours.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError as missing:
        raise error(
            f"{what} OpenCV ({missing}). Install it with pip install "
            "'opencv-python-headless~=4.14'; the package opencv-python also requires "
            "the system libraries libGL, libglib and libX11"
        ) from missing
    with contextlib.suppress(AttributeError):
        cv2.setLogLevel(0)
    return cv2
