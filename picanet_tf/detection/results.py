"""Detections of an image, and their files. Does not import TensorFlow.

COCO's JSON is a list of {"image_id", "category_id" 1..20, "bbox": [x, y, width, height]
in pixels, "score"}. VOC has a text file per class, `comp3_det_test_CLASS.txt`, with
lines `image score xmin ymin xmax ymax` in pixels counted from 1, both ends included.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.voc import OBJECT_CLASSES

VOC_PREFIX = "comp3_det_test_"
_VOC_FIELDS = 6
_VOC_NAME = re.compile(r"(?:.*_)?([^_]+)\.txt")
_LARGEST = float(np.finfo(np.float32).max)
# An empty box may get a negative size when its corners are rounded to two decimals.
_ROUNDING = 0.02


@dataclass(frozen=True)
class Detections:
    """The detections of an image, by descending score.

    Attributes:
        boxes: float32 [n, 4], ymin, xmin, ymax, xmax in pixels from edge to edge, 0..H
            and 0..W.
        scores: float32 [n], 0..1.
        classes: integers [n], 1..20.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def __bool__(self) -> bool:
        return True  # Even without detections.

    def name(self, number: int) -> str:
        """Returns class and score of a detection, such as "dog 0.93"."""
        label = OBJECT_CLASSES[int(self.classes[number]) - 1]
        return f"{label} {self.scores[number]:.2f}"

    def above(self, score: float) -> Detections:
        """Returns the detections with at least this score."""
        kept = self.scores >= score
        return Detections(self.boxes[kept], self.scores[kept], self.classes[kept])


def to_coco(found: Mapping[object, Detections]) -> list[dict]:
    """Converts {image: its detections} to COCO's results, keeping the image names."""
    return [
        {
            "image_id": image,
            "category_id": int(label),
            "bbox": [round(float(v), 2) for v in (x0, y0, x1 - x0, y1 - y0)],
            "score": round(float(score), 6),
        }
        for image, each in found.items()
        for (y0, x0, y1, x1), score, label in zip(
            each.boxes, each.scores, each.classes, strict=True
        )
    ]


def to_voc(found: Mapping[object, Detections]) -> dict[str, str]:
    """Formats {image: its detections} as {class name: text} for VOC's devkit."""
    lines: dict[str, list[str]] = {name: [] for name in OBJECT_CLASSES}
    for image, each in found.items():
        for (y0, x0, y1, x1), score, label in zip(
            each.boxes, each.scores, each.classes, strict=True
        ):
            # Edges in 0..W -> pixels counted from 1, both ends included.
            lines[OBJECT_CLASSES[int(label) - 1]].append(
                f"{image} {score:.6f} {x0 + 1:.2f} {y0 + 1:.2f} {x1:.2f} {y1:.2f}\n"
            )
    return {name: "".join(text) for name, text in lines.items()}


def read_coco(path: Path) -> dict:
    """Reads {image id: `Detections`} from a JSON file with COCO's results.

    Raises:
        PicanetError: if the file is invalid; the message gives the entry's index.
    """
    try:
        entries = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PicanetError(f"Cannot read {path}: {error}") from error
    if not isinstance(entries, list):
        raise PicanetError(f"{path} must contain a list of COCO results")
    rows: dict = {}
    for number, entry in enumerate(entries):
        try:
            image = entry["image_id"]
            if not isinstance(image, (int, str)) or isinstance(image, bool):
                raise ValueError("`image_id` must be a number or a string")
            x, y, width, height = map(float, entry["bbox"])
            row = (y, x, y + height, x + width), float(entry["score"])
            label = entry["category_id"]
            _check(*row, label)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise PicanetError(
                f"{path}: entry {number} is not a COCO result: {error!r}"
            ) from error
        rows.setdefault(image, []).append((*row, label))
    return {image: _detections(those) for image, those in rows.items()}


def read_voc(folder: Path) -> dict[str, Detections]:
    """Reads {image: `Detections`} from a folder of VOC's `..._CLASS.txt` files.

    Raises:
        PicanetError: if there is no such file, a file name has no known class, two
            files have the same class, or a line is invalid.
    """
    rows: dict[str, list] = {}
    seen: dict[str, Path] = {}
    for path in sorted(Path(folder).glob("*.txt")):
        matched = _VOC_NAME.fullmatch(path.name)
        name = matched.group(1) if matched else ""
        if name not in OBJECT_CLASSES:
            if path.name.startswith(VOC_PREFIX):
                raise PicanetError(f"{path}: {name!r} is not a class of VOC")
            continue
        if name in seen:
            raise PicanetError(f"{path}: {seen[name].name} also has the class {name}")
        seen[name] = path
        label = OBJECT_CLASSES.index(name) + 1
        for number, line in enumerate(_lines(path), 1):
            words = line.strip().rsplit(maxsplit=_VOC_FIELDS - 1)  # names with spaces
            if not words:
                continue
            try:
                if len(words) != _VOC_FIELDS:
                    raise ValueError(f"{len(words)} words instead of {_VOC_FIELDS}")
                score, x0, y0, x1, y1 = map(float, words[1:])
                row = (y0 - 1, x0 - 1, y1, x1), score
                _check(*row, label)
            except ValueError as error:
                raise PicanetError(
                    f"{path}, line {number} must be `image score xmin ymin xmax ymax`: "
                    f"{error}"
                ) from error
            rows.setdefault(words[0], []).append((*row, label))
    if not seen:
        raise PicanetError(
            f"{folder}: no file of detections such as {VOC_PREFIX}person.txt"
        )
    return {image: _detections(those) for image, those in rows.items()}


def _lines(path: Path) -> list[str]:
    try:  # Names of images may not be UTF-8; `write_text` keeps their bytes.
        return path.read_text("utf-8", "surrogateescape").split("\n")
    except OSError as error:
        raise PicanetError(f"Cannot read {path}: {error}") from error


def _check(box: tuple, score: float, label) -> None:
    if not all(abs(value) <= _LARGEST for value in (*box, score)):  # also for NaN
        raise ValueError("a corner or score is not a number or too large")
    ymin, xmin, ymax, xmax = box
    if min(ymax - ymin, xmax - xmin) < -_ROUNDING:
        raise ValueError("a box of negative width or height")
    if isinstance(label, bool) or not isinstance(label, int):
        raise ValueError("a class must be an integer")
    if not 1 <= label <= len(OBJECT_CLASSES):
        raise ValueError(f"the class {label} is not in 1..{len(OBJECT_CLASSES)}")


def _detections(rows: Iterable[tuple]) -> Detections:
    boxes, scores, labels = zip(*sorted(rows, key=lambda row: -row[1]), strict=True)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(labels, np.int64),
    )
