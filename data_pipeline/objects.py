"""Objects of an image: PASCAL VOC's XML -> boxes relative to the image.

Imports no TensorFlow: the converter runs `encode_objects` in worker processes.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np

from data_pipeline.class_maps import VOC_CLASSES
from data_pipeline.errors import UserError
from data_pipeline.images import MAX_PIXELS, ImageError
from data_pipeline.pairs import BadFile, Pair, encode_image

# Objects of one image that a batch has room for; VOC's most is 56, in 2012.
MAX_OBJECTS = 128
_MOST_BYTES = 1 << 22


class AnnotationError(UserError, ValueError):
    """An annotation that cannot be used; the message says why, not which file."""


class Box(NamedTuple):
    """One object: VOC's box, 1-based pixels, both ends inside, and what it is."""

    label: int
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    difficult: int


@dataclass(frozen=True)
class Annotation:
    """What an XML file says: the image's size, its objects in the order of the file."""

    height: int
    width: int
    objects: tuple[Box, ...]


@dataclass(frozen=True)
class EncodedObjects:
    """What one record holds.

    Attributes:
        key: the image's name, no extension.
        image: JPEG or PNG bytes that any decoder shows upright, in RGB or grey.
        boxes: float32 [n, 4], ymin, xmin, ymax, xmax from edge to edge, relative: 0..1.
        labels: int64 [n], 1..20, numbers in `VOC_CLASSES`.
        difficult: int64 [n], 1: not to be counted.
        height, width: in pixels.
        warning: what looks odd but is accepted; empty when nothing does.
    """

    key: str
    image: bytes
    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray
    height: int
    width: int
    warning: str = ""

    def fields(self) -> dict:
        """What `schema.encode_detection` takes."""
        return {k: v for k, v in vars(self).items() if k != "warning"}


def encode_objects(
    pair: Pair, *, max_pixels: int = MAX_PIXELS
) -> EncodedObjects | list[BadFile]:
    """Reads, checks and encodes an image and its XML file, which is `pair.mask`.

    The image's bytes are kept or encoded anew as `pairs.encode_pair` does.

    Returns:
        The encoded image and objects, or what is wrong with the files.
    """
    bad = []
    try:
        image, height, width, turned = encode_image(pair.image, max_pixels)
    except ImageError as error:
        bad.append(BadFile(error.name, error.reason))
    try:
        annotation = read_annotation(pair.mask)
    except AnnotationError as error:
        bad.append(BadFile(str(pair.mask), str(error)))
    if bad:
        return bad
    if (annotation.height, annotation.width) != (height, width):
        reason = (
            f"says {annotation.width} x {annotation.height}, but its image "
            f"{pair.image} is {width} x {height} (width x height)"
        )
        if turned and (annotation.width, annotation.height) == (height, width):
            reason += " after its EXIF rotation, which the boxes lack"
        return [BadFile(str(pair.mask), reason)]
    # From 1-based pixels, both inside, to the edges around them.
    edges = [(o.ymin - 1, o.xmin - 1, o.ymax, o.xmax) for o in annotation.objects]
    size = np.array([height, width, height, width], np.float64)
    return EncodedObjects(
        key=pair.key,
        image=image,
        boxes=(np.reshape(edges, (-1, 4)) / size).astype(np.float32),
        labels=np.array([o.label for o in annotation.objects], np.int64),
        difficult=np.array([o.difficult for o in annotation.objects], np.int64),
        height=height,
        width=width,
        warning="" if edges else "it has no object",
    )


def read_annotation(path: str | os.PathLike) -> Annotation:
    """Reads an XML file of VOC's `Annotations`.

    Parts of a person (`part`) are passed over; an object without `difficult` is not.

    Raises:
        AnnotationError: unreadable, no XML, with a document type (VOC has none, and
            entities can make a small file endless), fields missing or no numbers, a
            class that is none of VOC's, a box that lies outside of the image or has no
            area, more than `MAX_OBJECTS`.
    """
    root = _parse(_bytes_of(Path(path)))
    if root.tag != "annotation":
        raise AnnotationError(f"<annotation> is wanted, this is <{root.tag}>")
    size = _child(root, "size")
    height, width = (_number(size, name) for name in ("height", "width"))
    if not all(value > 0 and value.is_integer() for value in (height, width)):
        raise AnnotationError(
            f"size must be whole pixels. Received: {width} x {height}"
        )
    objects = tuple(
        _object(element, number, int(height), int(width))
        for number, element in enumerate(root.findall("object"), 1)
    )
    if len(objects) > MAX_OBJECTS:
        raise AnnotationError(
            f"at most {MAX_OBJECTS} objects are accepted, here are {len(objects)}"
        )
    return Annotation(int(height), int(width), objects)


def _object(element: Element, number: int, height: int, width: int) -> Box:
    where = f"object {number}"
    name = (_child(element, "name", where).text or "").strip()
    if name not in VOC_CLASSES[1:]:
        raise AnnotationError(f"{where}: {name!r} is no class of VOC")
    where = f"{where} ({name})"
    box = _child(element, "bndbox", where)
    values = [_number(box, side, where) for side in ("xmin", "ymin", "xmax", "ymax")]
    xmin, ymin, xmax, ymax = values
    said = f"xmin {xmin:g}, ymin {ymin:g}, xmax {xmax:g}, ymax {ymax:g}"
    if xmax < xmin or ymax < ymin:
        raise AnnotationError(f"{where}: a box of no area, {said}")
    if xmin < 1 or ymin < 1 or xmax > width or ymax > height:
        raise AnnotationError(
            f"{where}: a box outside of the image, whose pixels are 1..{width} and "
            f"1..{height}: {said}"
        )
    difficult = 0.0
    if element.find("difficult") is not None:
        difficult = _number(element, "difficult", where)
    if difficult not in (0, 1):
        raise AnnotationError(f"{where}: <difficult> is 0 or 1, not {difficult:g}")
    return Box(VOC_CLASSES.index(name), xmin, ymin, xmax, ymax, int(difficult))


def _number(parent: Element, name: str, where: str = "") -> float:
    text = (_child(parent, name, where).text or "").strip()
    try:
        value = float(text)  # 2012 has fractions of pixels.
        if not math.isfinite(value):
            raise ValueError
    except ValueError:
        raise AnnotationError(
            f"{where}{': ' * bool(where)}<{name}> is no number: {text!r}"
        ) from None
    return value


def _child(parent: Element, name: str, where: str = "") -> Element:
    found = parent.findall(name)
    if len(found) != 1:
        how_many = "no" if not found else f"{len(found)} times"
        raise AnnotationError(
            f"{where}{': ' * bool(where)}{how_many} <{name}> in <{parent.tag}>"
        )
    return found[0]


def _bytes_of(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise AnnotationError(f"larger than {_MOST_BYTES:,} bytes, no annotation")
        return path.read_bytes()
    except OSError as error:
        raise AnnotationError(error.strerror or str(error)) from error


def _parse(data: bytes) -> Element:
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    # Before any entity is declared, so that none is ever expanded.
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise AnnotationError(f"no readable XML: {error}") from error
    except (LookupError, ValueError) as error:
        if isinstance(error, AnnotationError):
            raise
        raise AnnotationError(f"no readable XML: {error}") from error
    return builder.close()


def _refuse_doctype(*_) -> None:
    raise AnnotationError("XML with a document type is not read: VOC has none")
