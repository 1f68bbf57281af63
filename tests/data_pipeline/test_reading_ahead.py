"""Readers keep to a fixed number of batches ahead, so that their memory is bounded."""

import time

import pytest
import tensorflow as tf

from data_pipeline import streams

ROUNDS, ELEMENTS = 6, 50


@pytest.mark.parametrize(
    "go_on",
    [
        lambda dataset: dataset,
        lambda dataset: dataset.repeat(),
        lambda dataset: dataset.take(10_000),
    ],
    ids=["as it is", "repeat", "take"],
)
def test_reading_ahead_stays_bounded_during_pauses(go_on):
    # A consumer that finds the buffer empty, then pauses: what makes AUTOTUNE double.
    read = 0

    def count(number):
        nonlocal read
        read += 1
        return number

    numbers = tf.data.Dataset.range(10_000).map(
        lambda number: tf.py_function(count, [number], tf.int64)
    )
    iterator = iter(go_on(streams.prefetch(numbers)))
    for _ in range(ROUNDS):
        for _ in range(ELEMENTS):
            next(iterator)
        time.sleep(0.1)
    ahead = read - ROUNDS * ELEMENTS
    # One more waits for its place in the buffer.
    assert 1 <= ahead <= streams.BATCHES_AHEAD + 1
