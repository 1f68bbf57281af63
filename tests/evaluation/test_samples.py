"""Samples and what methods predict for them."""

import numpy as np

from picanet_tf.evaluation.samples import Sample, predict_samples


def test_predict_samples_keeps_pairs_together_in_batches():
    images = [np.full((2, 3, 3), number, np.uint8) for number in range(5)]
    samples = [Sample(f"im{i}", image[..., 0], image) for i, image in enumerate(images)]

    def in_twos(images):
        images = iter(images)
        for first in images:
            batch = [first, *([second] if (second := next(images, None)) is not None
                              else [])]  # fmt: skip
            yield from (image[..., 0] for image in batch)

    found = list(predict_samples(in_twos, iter(samples)))
    assert [sample.name for sample, _ in found] == [s.name for s in samples]
    for sample, saliency in found:
        np.testing.assert_array_equal(saliency, sample.truth)
