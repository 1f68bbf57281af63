"""Detections that some method left on disk: COCO's JSON, or VOC's texts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from picanet_tf.core.errors import PicanetError
from picanet_tf.detection import results
from picanet_tf.detection.results import Detections


def read(path: Path) -> dict:
    """{image as the file calls it: `Detections`}.

    Args:
        path: a JSON file of COCO's results, or a folder of VOC's `..._CLASS.txt`.

    Raises:
        PicanetError: it is neither, or holds what it should not.
    """
    if path.is_dir():
        return results.read_voc(path)
    if not path.is_file():
        raise PicanetError(f"`predictions` {path}: no such file or folder")
    return results.read_coco(path)


def by_key(
    found: Mapping, keys: Collection[str], origin: str = ""
) -> dict[str, Detections]:
    """Gives each image its detections; an image that is not there has none.

    Args:
        found: as of `read`. COCO's image ids may be numbers: 1 is the image `000001`,
            and 2008000002 is `2008_000002`.
        keys: the images of the data set.
        origin: where from, for errors.

    Raises:
        PicanetError: detections on an image that the data set has not; a number that
            may be several images; two names of one image.
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
            raise PicanetError(f"{where} may be {' or '.join(fitting)}")
        if fitting[0] in taken:
            raise PicanetError(f"{where} is {fitting[0]}, as another one is")
        taken[fitting[0]] = detections
    return {key: taken.get(key) or nothing() for key in keys}


def nothing() -> Detections:
    """No detection at all."""
    return Detections(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    )


def _number(key: str) -> int | None:
    """Of the digits of a name, where it has nothing else but underscores."""
    digits = key.replace("_", "")
    return int(digits) if digits.isdecimal() else None
