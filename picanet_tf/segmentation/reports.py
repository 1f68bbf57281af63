"""Formats segmentation scores for the report. Does not import TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator

from picanet_tf.core.voc import VOC_CLASSES
from picanet_tf.evaluation.class_reports import ClassReport, Scores
from picanet_tf.evaluation.tables import csv_text
from picanet_tf.segmentation.evaluation import Evaluation

CONVENTIONS = """\
mean_iou      intersection over union of each class, from one confusion matrix over
              all pixels of the set, averaged over the classes that occur in the
              ground truth or predictions (21 on all of VOC); keras.metrics.MeanIoU
pixel_accuracy  share of correctly classified pixels
              Class maps are scored at the image's size; pixels of 255 are ignored.
"""
TABLE_3 = {
    "DeepLab": 0.6896,
    "DeepLab_LC": 0.6890,
    "DeepLab_AC": 0.6933,
    "DeepLab_LAP": 0.7012,
    "UNet": 0.6860,
    "6ReNet_543LC": 0.7212,
    "6GAP_543AC": 0.7278,
    "6GAP_543LAP": 0.7312,
}


def texts(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """Yields (file name, CSV): the accuracy of each image, and the confusion matrix."""
    rows = [(name, f"{value:.6f}") for name, value in evaluation.rows]
    yield "images.csv", csv_text([("name", "pixel_accuracy"), *rows])
    matrix = evaluation.scores.confusion.tolist()
    rows = [(name, *row) for name, row in zip(VOC_CLASSES, matrix, strict=True)]
    yield "confusion.csv", csv_text([("true class", *VOC_CLASSES), *rows])


class SegmentationReport(ClassReport):
    """Reports mean IoU and the IoU of each class."""

    title = "Segmentation scores"
    conventions = CONVENTIONS
    mean = "mean_iou"
    mean_in_words = "mean IoU"
    paper = TABLE_3
    paper_set = "VOC2012 val"
    paper_images = 1449
    paper_digits = 4

    def scores_of(self, evaluation: Evaluation) -> Scores:
        scores = evaluation.scores
        iou = dict(zip(VOC_CLASSES, scores.iou.tolist(), strict=True))
        return Scores(
            means={
                "mean_iou": scores.mean_iou,
                "pixel_accuracy": scores.pixel_accuracy,
            },
            by_class=iou,
            more={"iou": iou, "confusion": scores.confusion.tolist()},
            size=f"{scores.images:,} images",
            counts={"images": scores.images},
        )
