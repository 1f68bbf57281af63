"""Options of `predict` that are checked before any work is done."""

import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.inference.options import PredictOptions


@pytest.mark.parametrize("value", [0, -1, 2.5, "4", None])
@pytest.mark.parametrize("name", ["batch_size", "max_pixels"])
def test_numbers_must_be_whole_and_positive(name, value):
    """With a batch of 0, all photos of a folder would be read into memory."""
    with pytest.raises(PicanetError) as raised:
        PredictOptions(**{name: value})
    assert str(raised.value) == (
        f"`{name}` must be a whole number, at least 1. Received: {name}={value!r}"
    )


@pytest.mark.parametrize("name", ["batch_size", "max_pixels"])
def test_numbers_may_be_numpys(name):
    assert getattr(PredictOptions(**{name: np.prod([4, 3])}), name) == 12
