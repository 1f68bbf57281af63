"""Decodes the output of an exported detection network to boxes, with NumPy only.

`raw`, float32 [N, A, 25], contains 4 offsets and 21 logits per default box, background
first. Quantized outputs must be dequantized before, as described in the JSON file next
to the model.

    python decode.py raw.npy 300      prints class, score, ymin, xmin, ymax, xmax

This file is self-contained.
"""

from __future__ import annotations

import sys

import numpy as np

# Source maps, fine to coarse.
SOURCES = ("conv4_3", "fc7", "conv8_2", "conv9_2", "conv10_2", "conv11_2")
# Sides of the square boxes of each source, relative to the image's side; the last one
# is the upper end of the range. For 300 pixels: 30, 60, 111, 162, 213, 264, 315.
SCALES = (0.1, 0.2, 0.37, 0.54, 0.71, 0.88, 1.05)
# Width / height; each ratio is also used inverted.
ASPECT_RATIOS = ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))
# Boxes per position: two squares, and two for each aspect ratio.
BOXES = tuple(2 + 2 * len(ratios) for ratios in ASPECT_RATIOS)
# Strides of the first sources; the coarser ones come from convolutions without padding,
# and their positions are spread evenly over the image.
_STRIDES = (8, 16, 32, 64)
# Units of the offsets: centre y, centre x, log of height, log of width.
VARIANCES = (0.1, 0.1, 0.2, 0.2)
# Non-maximum suppression: minimum score, number of candidates per class, IoU above
# which the lower-scoring box is dropped, and maximum number of boxes per image (and
# before that, per class).
SCORE_THRESHOLD = 0.01
CANDIDATES = 400
IOU_THRESHOLD = 0.45
TOP = 200


def map_sides(image_size: int) -> tuple[int, ...]:
    """Returns the side of each source's map; 38, 19, 10, 5, 3, 1 for 300 pixels."""
    sides = [-(-image_size // stride) for stride in _STRIDES]
    for _ in SOURCES[len(sides) :]:
        sides.append(shrink_side(sides[-1]))
    return tuple(sides)


def shrink_side(side: int) -> int:
    """Returns the side of a map after an unpadded 3x3 convolution (padded if < 3)."""
    return side - 2 if side >= 3 else side


def default_boxes(image_size: int = 300) -> np.ndarray:
    """Returns centre y, centre x, height and width of every default box, unclipped.

    Returns:
        float32 [A, 4], relative to the image; A is 8,732 for 300 pixels. Ordered by
        source from fine to coarse, row, column, and box: the square at the source's
        scale, the square between this scale and the next, and those with aspect ratios
        2, 1/2, 3, 1/3.
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
    """Returns (height, width) of the boxes at each position of a source."""
    scale, following = SCALES[source : source + 2]
    between = (scale * following) ** 0.5
    shapes = [(scale, scale), (between, between)]
    for ratio in ASPECT_RATIOS[source]:
        root = ratio**0.5
        shapes += [(scale / root, scale * root), (scale * root, scale / root)]
    return shapes


def detections(raw, image_size: int) -> dict[str, np.ndarray]:
    """Decodes the boxes of one image, by descending score.

    Args:
        raw: float [A, 25], the output for one image.
        image_size: side of the network's input, in pixels.

    Returns:
        {"boxes": float32 [n, 4], ymin, xmin, ymax, xmax relative to the image, clipped
        to it; "scores": float32 [n], descending; "classes": int32 [n], 1..20}, n up to
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
    """Applies non-maximum suppression to the boxes of one class.

    Args:
        boxes: corners, float [A, 4].
        scores: float [A].

    Returns:
        Indices of the remaining boxes by descending score, at most `TOP`.
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
    """Converts offsets [A, 4] from default boxes to corners [A, 4], not clipped."""
    offsets = locations * np.float32(VARIANCES)
    centres = offsets[:, :2] * defaults[:, 2:] + defaults[:, :2]
    halves = np.exp(offsets[:, 2:]) * defaults[:, 2:] / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)


def _softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _iou(box, boxes):
    """Computes the IoU of a box with each of the others: [4], [n, 4] -> [n]."""
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
