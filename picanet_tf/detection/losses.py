"""SSD's multibox loss: localization and classification."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import ops

from picanet_tf.models.batch_loss import BatchLoss

NEGATIVES = 3  # hard negatives per positive


@keras.saving.register_keras_serializable(package="picanet_tf")
class LocationLoss(BatchLoss):
    """Smooth L1 loss of the offsets, averaged over all positives of the batch.

    With several replicas, the mean is over the positives of each replica. The loss and
    gradients of a batch without positives are 0.

    `y_true` is float [N, A, 5], the offsets and 1 for positives, else 0; `y_pred` is
    float [N, A, 4].

    Reference: SSD, Eq. 2.
    """

    def __init__(self, name="location_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, y_pred.dtype)
        positive = y_true[..., 4]
        size = ops.abs(y_true[..., :4] - y_pred)
        each = ops.where(size < 1, 0.5 * ops.square(size), size - 0.5)
        total = ops.sum(ops.sum(each, axis=-1) * positive)
        return ops.reshape(total / ops.maximum(ops.sum(positive), 1), [1])


@keras.saving.register_keras_serializable(package="picanet_tf")
class ScoreLoss(BatchLoss):
    """Softmax cross-entropy of positives and hard negatives, per positive.

    The negatives of an image with the highest losses count, `negatives` times as many
    as it has positives, so none in an image without objects, as in SSD. With several
    replicas, the sum and the number of positives are those of each replica.

    `y_true` is integer [N, A], the label, or 0 for negatives; `y_pred` is float
    [N, A, classes], logits.

    Args:
        negatives: number of negatives per positive.

    Reference: SSD, Eq. 3 and "Hard negative mining".
    """

    def __init__(self, negatives: int = NEGATIVES, name="score_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.negatives = negatives

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, "int32")
        each = ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        positive = y_true > 0
        counts = positive | self._hard(each, positive)
        total = ops.sum(ops.where(counts, each, 0.0))
        positives = ops.sum(ops.cast(positive, each.dtype))
        return ops.reshape(total / ops.maximum(positives, 1), [1])

    def _hard(self, each, positive):
        """Selects the hard negatives: bool [N, A]."""
        losses = tf.where(positive, -1.0, tf.stop_gradient(each))  # losses are >= 0
        order = tf.argsort(losses, direction="DESCENDING", stable=True)
        ranks = tf.argsort(order)
        positives = tf.reduce_sum(tf.cast(positive, tf.int32), axis=1, keepdims=True)
        return (ranks < self.negatives * positives) & ~positive

    def get_config(self):
        return {**super().get_config(), "negatives": self.negatives}


_LOSSES = {"locations": LocationLoss, "scores": ScoreLoss}


def losses(outputs) -> dict[str, keras.losses.Loss]:
    """Returns {output name: loss} for the given outputs."""
    return {name: _LOSSES[name]() for name in outputs}


def loss_weights(outputs) -> dict[str, float]:
    """Returns {output name: loss weight}, all equal; there is no attention loss."""
    return dict.fromkeys(outputs, 1.0)
