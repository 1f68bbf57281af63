"""PASCAL VOC's XML annotations: the boxes of an image's objects.

Imports no TensorFlow: the converter reads annotations in worker processes.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError

import numpy as np

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.voc import VOC_CLASSES

# Maximum number of objects per image, to which batches are padded; images of VOC have
# at most 56, in 2012.
MAX_OBJECTS = 128
_MAX_BYTES = 1 << 22


class AnnotationError(PicanetError):
    """An annotation that cannot be used; the message does not name the file."""


class Box(NamedTuple):
    """One object: class, corners as in VOC (1-based pixels, inclusive), difficulty."""

    label: int
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    difficult: int


@dataclass(frozen=True)
class Annotation:
    """The content of an XML file.

    Attributes:
        height, width: size of the image, in pixels.
        objects: in the order of the file.
    """

    height: int
    width: int
    objects: tuple[Box, ...]

    def arrays(self) -> dict[str, np.ndarray]:
        """Converts the objects to arguments of `schema.encode_boxes_record`.

        Returns:
            `boxes`: float32 `(n, 4)`, ymin, xmin, ymax, xmax relative to the image,
            0..1;
            `labels`: int64 `(n,)`, 1..20, indices into `VOC_CLASSES`;
            `difficult`: int64 `(n,)`, 1 for objects that are not scored.
        """
        # From inclusive 1-based pixels to the edges around them.
        edges = [(o.ymin - 1, o.xmin - 1, o.ymax, o.xmax) for o in self.objects]
        size = np.array([self.height, self.width] * 2, np.float64)
        return {
            "boxes": (np.reshape(edges, (-1, 4)) / size).astype(np.float32),
            "labels": np.array([o.label for o in self.objects], np.int64),
            "difficult": np.array([o.difficult for o in self.objects], np.int64),
        }


def read_annotation(path: str | os.PathLike) -> Annotation:
    """Reads an XML file from VOC's `Annotations`.

    Parts of a person (`part`) are skipped. An object without `difficult` is not
    difficult.

    Raises:
        AnnotationError: if the file is unreadable, is not XML or has a document type
            (VOC uses none, and entities can expand without limit); a field is missing
            or is not a number; a class is not one of VOC's; a box is empty or extends
            beyond the image; or there are more than `MAX_OBJECTS` objects.
    """
    root = _parse(_read_bytes(Path(path)))
    if root.tag != "annotation":
        raise AnnotationError(f"the root must be <annotation>. Received: <{root.tag}>")
    size = _child(root, "size")
    height, width = (_number(size, name) for name in ("height", "width"))
    if not all(value > 0 and value.is_integer() for value in (height, width)):
        raise AnnotationError(
            f"size must be whole pixels. Received: {width} x {height}"
        )
    objects = tuple(
        _read_object(element, number, int(height), int(width))
        for number, element in enumerate(root.findall("object"), 1)
    )
    if len(objects) > MAX_OBJECTS:
        raise AnnotationError(
            f"at most {MAX_OBJECTS} objects are accepted. Received: {len(objects)}"
        )
    return Annotation(int(height), int(width), objects)


def _read_object(element: Element, number: int, height: int, width: int) -> Box:
    where = f"object {number}"
    name = (_child(element, "name", where).text or "").strip()
    if name not in VOC_CLASSES[1:]:
        raise AnnotationError(f"{where}: {name!r} is not a class of VOC")
    where = f"{where} ({name})"
    box = _child(element, "bndbox", where)
    values = [_number(box, side, where) for side in ("xmin", "ymin", "xmax", "ymax")]
    xmin, ymin, xmax, ymax = values
    corners = f"xmin {xmin:g}, ymin {ymin:g}, xmax {xmax:g}, ymax {ymax:g}"
    if xmax < xmin or ymax < ymin:
        raise AnnotationError(f"{where}: an empty box, {corners}")
    if xmin < 1 or ymin < 1 or xmax > width or ymax > height:
        raise AnnotationError(
            f"{where}: a box outside the image, whose pixels are 1..{width} and "
            f"1..{height}: {corners}"
        )
    difficult = 0.0
    if element.find("difficult") is not None:
        difficult = _number(element, "difficult", where)
    if difficult not in (0, 1):
        raise AnnotationError(
            f"{where}: <difficult> must be 0 or 1. Received: {difficult:g}"
        )
    return Box(VOC_CLASSES.index(name), xmin, ymin, xmax, ymax, int(difficult))


def _number(parent: Element, name: str, where: str = "") -> float:
    text = (_child(parent, name, where).text or "").strip()
    try:
        value = float(text)  # 2012 has fractions of pixels.
        if not math.isfinite(value):
            raise ValueError
    except ValueError:
        raise AnnotationError(
            f"{where}{': ' * bool(where)}<{name}> is not a number: {text!r}"
        ) from None
    return value


def _child(parent: Element, name: str, where: str = "") -> Element:
    found = parent.findall(name)
    if len(found) != 1:
        count = "no" if not found else f"{len(found)} times"
        raise AnnotationError(
            f"{where}{': ' * bool(where)}{count} <{name}> in <{parent.tag}>"
        )
    return found[0]


def _read_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise AnnotationError(
                f"larger than {_MAX_BYTES:,} bytes, too large for an annotation"
            )
        return path.read_bytes()
    except OSError as error:
        raise AnnotationError(error.strerror or str(error)) from error


def _parse(data: bytes) -> Element:
    # Imported here, so that `--help` needs only the packages required for prediction.
    from defusedxml import DTDForbidden
    from defusedxml.ElementTree import fromstring

    try:
        return fromstring(data, forbid_dtd=True)
    except DTDForbidden as error:
        raise AnnotationError(
            "XML with a document type is refused; VOC's files have none"
        ) from error
    except (ParseError, LookupError, ValueError) as error:
        # The last two: an encoding that Python does not know or expat cannot use.
        raise AnnotationError(f"not readable as XML: {error}") from error
