"""Reads detections from disk: COCO's JSON or VOC's text files."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from picanet_tf.core.errors import PicanetError
from picanet_tf.detection import results
from picanet_tf.detection.results import Detections


def read(path: Path) -> dict:
    """Reads {image name in the file: `Detections`}.

    Args:
        path: a JSON file with COCO's results, or a folder of VOC's `..._CLASS.txt`.

    Raises:
        PicanetError: if it is neither, or its contents are invalid.
    """
    if path.is_dir():
        return results.read_voc(path)
    if not path.is_file():
        raise PicanetError(f"`predictions` {path}: no such file or folder")
    return results.read_coco(path)


def by_key(
    found: Mapping, keys: Collection[str], origin: str = ""
) -> dict[str, Detections]:
    """Maps detections to the images of a data set; missing images have none.

    Args:
        found: detections from `read`. COCO's image ids can be numbers: 1 is the image
            `000001`, and 2008000002 is `2008_000002`.
        keys: names of the images in the data set.
        origin: source of the detections, for error messages.

    Raises:
        PicanetError: if an image is not in the data set, a number matches several
            images, or two names match the same image.
    """
    numbers: dict[int | None, list[str]] = {}
    for key in keys:
        numbers.setdefault(_number(key), []).append(key)
    known = set(keys)
    taken: dict[str, Detections] = {}
    for image, detections in found.items():
        fitting = [str(image)] if str(image) in known else numbers.get(image, [])
        where = f"`predictions` {origin}: detections on the image {image!r}, which"
        if not fitting:
            raise PicanetError(f"{where} is not in the data set")
        if len(fitting) > 1:
            raise PicanetError(f"{where} could be {' or '.join(fitting)}")
        if fitting[0] in taken:
            raise PicanetError(f"{where} is {fitting[0]}, like another one")
        taken[fitting[0]] = detections
    return {key: taken.get(key) or nothing() for key in keys}


def nothing() -> Detections:
    """Returns empty detections."""
    return Detections(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    )


def _number(key: str) -> int | None:
    """Returns the number in a name that has only digits and underscores, or None."""
    digits = key.replace("_", "")
    return int(digits) if digits.isdecimal() else None
