"""COCO's mean average precision, computed by pycocotools.

Difficult objects are passed as crowds: they do not count as missed, and detections that
match them do not count as false positives.
"""

from __future__ import annotations

import contextlib
import io

import numpy as np

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.voc import OBJECT_CLASSES

# Our names of the summary's values by index: AP over IoU 0.50 to 0.95, at 0.5, at 0.75,
# for areas below 32², below 96² and above, and recall with 100 detections.
NAMES = {
    "coco_map": 0,
    "coco_map_50": 1,
    "coco_map_75": 2,
    "coco_map_small": 3,
    "coco_map_medium": 4,
    "coco_map_large": 5,
    "coco_recall_100": 8,
}
INSTALL = "pip install pycocotools"


class CocoMetrics:
    """Accumulates detections and computes COCO's scores.

    Only the 100 highest-scoring detections per class and image count.

    Raises:
        PicanetError: if pycocotools is not installed.

    Example:
        >>> metrics = CocoMetrics()
        >>> metrics.update(detections, boxes, labels, difficult)
        >>> metrics.result()["coco_map"]
        0.436
    """

    def __init__(self):
        try:
            from pycocotools import cocoeval  # noqa: F401
        except ImportError as error:
            raise PicanetError(
                f"COCO scores require pycocotools ({error}): {INSTALL}"
            ) from error
        self._images = 0
        self._objects: list[dict] = []
        self._detections: list[dict] = []

    def update(self, detections, boxes, labels, difficult) -> None:
        """Adds an image; arguments as in `metrics.DetectionMetrics.update`."""
        self._images += 1
        for box, label, skipped in zip(boxes, labels, difficult, strict=True):
            if label:
                self._add(self._objects, box, label, iscrowd=int(skipped))
        parts = (detections.boxes, detections.classes, detections.scores)
        for box, label, score in zip(*parts, strict=True):
            self._add(self._detections, box, label, score=float(score), iscrowd=0)

    def _add(self, records: list[dict], box, label, **fields) -> None:
        ymin, xmin, ymax, xmax = map(float, box)
        width, height = xmax - xmin, ymax - ymin
        records.append(
            {
                "id": len(records) + 1,
                "image_id": self._images,
                "category_id": int(label),
                "bbox": [xmin, ymin, width, height],
                "area": width * height,
                **fields,
            }
        )

    def result(self) -> dict[str, float]:
        """Returns {name: score in 0..1}; NaN where there are no objects."""
        from pycocotools.cocoeval import COCOeval

        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(
                self._index(self._objects), self._index(self._detections), "bbox"
            )
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        stats = evaluation.stats
        return {
            name: float(stats[k]) if stats[k] >= 0 else float(np.nan)
            for name, k in NAMES.items()
        }

    def _index(self, records: list[dict]):
        from pycocotools.coco import COCO

        index = COCO()
        index.dataset = {
            "info": {},
            "images": [{"id": number + 1} for number in range(self._images)],
            "categories": [
                {"id": label, "name": name}
                for label, name in enumerate(OBJECT_CLASSES, 1)
            ],
            "annotations": records,
        }
        index.createIndex()
        return index
