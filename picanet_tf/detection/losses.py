"""SSD's multibox loss: where the objects are, and what is in each box."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import ops

NEGATIVES = 3  # for each positive


@keras.saving.register_keras_serializable(package="picanet_tf")
class LocationLoss(keras.losses.Loss):
    """Smooth L1 of the offsets of all positives of the batch, by their number.

    With several replicas, of all of a replica's. A batch without positives has the
    loss 0, and gradients of 0.

    Shapes: `y_true` float [N, A, 5], offsets and 1 of a positive or 0; `y_pred` float
    [N, A, 4].

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
        # [1]: the base class means over it, and divides by the number of replicas.
        return ops.reshape(total / ops.maximum(ops.sum(positive), 1), [1])


@keras.saving.register_keras_serializable(package="picanet_tf")
class ScoreLoss(keras.losses.Loss):
    """Softmax cross-entropy of positives and hard negatives, by number of positives.

    Of each image the negatives of highest loss count, `negatives` times as many as it
    has positives; of an image without objects none, as in SSD. With several replicas,
    the sum and the number are each replica's own.

    Args:
        negatives: for each positive.

    Shapes: `y_true` integer [N, A], the label, 0 of a negative; `y_pred` float
    [N, A, classes], logits.

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
        """Which negatives count: bool [N, A]."""
        losses = tf.where(positive, -1.0, tf.stop_gradient(each))  # none is below 0
        order = tf.argsort(losses, direction="DESCENDING", stable=True)
        ranks = tf.argsort(order)
        positives = tf.reduce_sum(tf.cast(positive, tf.int32), axis=1, keepdims=True)
        return (ranks < self.negatives * positives) & ~positive

    def get_config(self):
        return {**super().get_config(), "negatives": self.negatives}


_LOSSES = {"locations": LocationLoss, "scores": ScoreLoss}


def losses(outputs) -> dict[str, keras.losses.Loss]:
    """{output name: loss} of the named outputs."""
    return {name: _LOSSES[name]() for name in outputs}


def loss_weights(outputs) -> dict[str, float]:
    """{output name: weight}: alike; there is no attention loss, so no weight of it."""
    return dict.fromkeys(outputs, 1.0)
