"""Boxes out of what an exported detection network gives, with NumPy alone.

`raw` float32 [N, A, 25] holds of each default box 4 offsets and 21 logits, the
background's first. A file that stores it as integers is to be undone first, as the
JSON beside it says.

    python decode.py raw.npy 300      prints class, score, ymin, xmin, ymax, xmax

Needs no other file of its project.
"""

from __future__ import annotations

import sys

import numpy as np

# Source maps, fine to coarse.
SOURCES = ("conv4_3", "fc7", "conv8_2", "conv9_2", "conv10_2", "conv11_2")
# Sides of the square boxes of each source, parts of the image's side; the last one ends
# the range. 30, 60, 111, 162, 213, 264, 315 pixels of 300.
SCALES = (0.1, 0.2, 0.37, 0.54, 0.71, 0.88, 1.05)
# Width over height, each one also the other way round.
ASPECT_RATIOS = ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))
# Boxes at each position: two squares, and two of each aspect ratio.
BOXES = tuple(2 + 2 * len(ratios) for ratios in ASPECT_RATIOS)
# Pixels between the positions of the sources that the strides make; the coarser ones,
# made by convolutions without padding, are laid over the image evenly.
_STRIDES = (8, 16, 32, 64)
# Offsets are in these units: of centres, of the logarithms of sides.
VARIANCES = (0.1, 0.1, 0.2, 0.2)
# Non-maximum suppression: the least score, the boxes of a class that are considered,
# the overlap above which one of two is dropped, and how many are kept of an image (and
# of a class before that).
SCORE_THRESHOLD = 0.01
CANDIDATES = 400
IOU_THRESHOLD = 0.45
TOP = 200


def map_sides(image_size: int) -> tuple[int, ...]:
    """Positions along a side of each source's map; 300: 38, 19, 10, 5, 3, 1."""
    sides = [-(-image_size // stride) for stride in _STRIDES]
    for _ in SOURCES[len(sides) :]:
        sides.append(shrink_side(sides[-1]))
    return tuple(sides)


def shrink_side(side: int) -> int:
    """Side of a map after 3x3 without padding; too small a map is padded and stays."""
    return side - 2 if side >= 3 else side


def default_boxes(image_size: int = 300) -> np.ndarray:
    """Centre y, centre x, height, width of every default box, unclipped.

    Returns:
        float32 [A, 4], relative to the image; A is 8,732 at 300 pixels. The sources
        follow one another from fine to coarse; in each, rows, columns, then boxes: the
        square of its scale, the square between its scale and the next, and those of
        aspect ratio 2, 1/2, 3, 1/3.
    """
    boxes = []
    for number, side in enumerate(map_sides(image_size)):
        step = 1 / side
        if number < len(_STRIDES):
            step = _STRIDES[number] / image_size
        centres = (np.arange(side) + 0.5) * step
        shapes = _shapes(number)
        here = np.empty((side, side, len(shapes), 4))
        here[..., 0] = centres[:, None, None]
        here[..., 1] = centres[None, :, None]
        here[..., 2:] = shapes
        boxes.append(here.reshape(-1, 4))
    return np.float32(np.concatenate(boxes))


def _shapes(source: int) -> list[tuple[float, float]]:
    """(height, width) of the boxes at each position of a source."""
    scale, following = SCALES[source : source + 2]
    between = (scale * following) ** 0.5
    shapes = [(scale, scale), (between, between)]
    for ratio in ASPECT_RATIOS[source]:
        root = ratio**0.5
        shapes += [(scale / root, scale * root), (scale * root, scale / root)]
    return shapes


def detections(raw, image_size: int) -> dict[str, np.ndarray]:
    """The boxes of one image, by falling score.

    Args:
        raw: float [A, 25], of one image.
        image_size: side of the network's input, in pixels.

    Returns:
        {"boxes": float32 [n, 4], ymin, xmin, ymax, xmax relative to the image, clipped
        to it; "scores": float32 [n], falling; "classes": int32 [n], 1..20}, n up to
        `TOP`.
    """
    raw = np.asarray(raw, np.float32)
    boxes = _corners(raw[:, :4], default_boxes(image_size))
    scores = _softmax(raw[:, 4:])
    found = [
        (index, label)
        for label in range(1, scores.shape[1])
        for index in non_max_suppression(boxes, scores[:, label])
    ]
    indices, labels = np.array(found, np.int32).reshape(-1, 2).T
    kept = scores[indices, labels]
    order = np.argsort(-kept, kind="stable")[:TOP]
    return {
        "boxes": boxes[indices[order]].clip(0, 1),
        "scores": kept[order],
        "classes": labels[order],
    }


def non_max_suppression(boxes, scores) -> list[int]:
    """Non-maximum suppression of one class.

    Args:
        boxes: float [A, 4] of corners.
        scores: float [A].

    Returns:
        Indices of the boxes kept, by falling score, up to `TOP`.
    """
    candidates = np.flatnonzero(scores > SCORE_THRESHOLD)
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")]
    candidates = candidates[:CANDIDATES]
    kept: list[int] = []
    while len(candidates) and len(kept) < TOP:
        first, candidates = candidates[0], candidates[1:]
        kept.append(int(first))
        overlaps = _iou(boxes[first], boxes[candidates])
        candidates = candidates[overlaps <= IOU_THRESHOLD]
    return kept


def _corners(locations, defaults):
    """Offsets [A, 4] from default boxes -> corners [A, 4], not clipped."""
    offsets = locations * np.float32(VARIANCES)
    centres = offsets[:, :2] * defaults[:, 2:] + defaults[:, :2]
    halves = np.exp(offsets[:, 2:]) * defaults[:, 2:] / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)


def _softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _iou(box, boxes):
    """Of one box with each of the others: [4], [n, 4] -> [n]."""
    lower = np.maximum(box[:2], boxes[:, :2])
    upper = np.minimum(box[2:], boxes[:, 2:])
    common = (upper - lower).clip(0).prod(axis=1)
    union = _area(box) + _area(boxes) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def _area(boxes):
    return (boxes[..., 2:] - boxes[..., :2]).clip(0).prod(axis=-1)


def main(path: str, image_size: str) -> None:
    """Prints the detections of every image of an array [N, A, 25] or [A, 25]."""
    raw = np.load(path)
    for number, image in enumerate(raw.reshape(-1, *raw.shape[-2:])):
        print(f"image {number}")
        found = detections(image, int(image_size))
        for index, box in enumerate(found["boxes"]):
            numbers = (found["scores"][index], *box)
            print(found["classes"][index], *(f"{number:.6f}" for number in numbers))


if __name__ == "__main__":
    main(*sys.argv[1:])
