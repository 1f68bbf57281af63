"""The base class of losses that are normalized over their batch."""

from __future__ import annotations

import keras


class BatchLoss(keras.losses.Loss):
    """A loss that is one number for a batch, and not one for each image.

    `call` returns [1], which the base class averages over and divides by the number of
    replicas.

    Raises:
        ValueError: `sample_weight` is given. It would scale the whole batch by the mean
            of the weights.
    """

    def __call__(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None:
            raise ValueError(
                f"{self.name} is normalized over the batch: it takes no `sample_weight`"
            )
        return super().__call__(y_true, y_pred)
