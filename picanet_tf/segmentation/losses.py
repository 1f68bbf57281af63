"""Softmax cross-entropy that ignores pixels without a class."""

from __future__ import annotations

import keras
from keras import ops

from picanet_tf.core.voc import IGNORE
from picanet_tf.models.batch_loss import BatchLoss

# Weights of the U-Net's side outputs, as in the saliency network; DeepLab has only one.
WEIGHTS = {"logits": 1.0, "stage6": 0.5, "stage5": 0.5, "stage4": 0.5, "stage3": 0.8}


@keras.saving.register_keras_serializable(package="picanet_tf")
class SegmentationLoss(BatchLoss):
    """Mean softmax cross-entropy over the pixels that have a class.

    The mean is over all pixels of the batch, as in Caffe; with several replicas, of
    each replica's part. The loss of a batch without such pixels is 0.

    `y_true` is integer [N, h, w], the class or `ignore`; `y_pred` is float
    [N, h, w, classes], logits.
    """

    def __init__(self, ignore: int = IGNORE, name="segmentation_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.ignore = ignore

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, "int32")
        counts = ops.not_equal(y_true, self.ignore)
        # Ignored pixels need a valid class, as 255 would be out of range.
        classes = ops.where(counts, y_true, 0)
        each = ops.sparse_categorical_crossentropy(classes, y_pred, from_logits=True)
        counts = ops.cast(counts, each.dtype)
        total = ops.sum(each * counts) / ops.maximum(ops.sum(counts), 1)
        return ops.reshape(total, [1])

    def get_config(self):
        return {**super().get_config(), "ignore": self.ignore}


def losses(outputs) -> dict[str, keras.losses.Loss]:
    """Returns {output name: loss} for the given outputs."""
    return {name: SegmentationLoss() for name in outputs}


def loss_weights(outputs) -> dict[str, float]:
    """Returns {output name: loss weight}; there is no attention loss."""
    return {name: WEIGHTS[name] for name in outputs}
