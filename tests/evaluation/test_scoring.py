"""What scoring draws by default."""

from types import SimpleNamespace

import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.evaluation.scoring import draw_examples
from picanet_tf.saliency.scoring import SaliencyScoring
from tests.evaluation.methods import MASK, data_set


def test_examples_are_side_by_side():
    def evaluation(*names):
        picked = [
            SimpleNamespace(name=n, image=1, truth=2, prediction=3) for n in names
        ]
        return SimpleNamespace(picked=picked)

    found = {"ours": evaluation("a", "b"), "all": evaluation("a", "b")}
    assert list(draw_examples(found)) == [
        (
            "examples.png",
            ["image", "ground truth", "ours", "all"],
            [("a", [1, 2, 3, 3]), ("b", [1, 2, 3, 3])],
        )
    ]
    assert list(draw_examples({"ours": evaluation()})) == []


def test_column_of_images_is_left_out_without_images():
    picked = [SimpleNamespace(name="a", image=None, truth=2, prediction=3)]
    assert list(draw_examples({"ours": SimpleNamespace(picked=picked)})) == [
        ("examples.png", ["ground truth", "ours"], [("a", [2, 3])])
    ]


def test_baseline_predicts_like_a_method():
    center = SaliencyScoring().baseline("center")
    assert "sigma 0.25" in center.facts["baseline"]
    predicted = list(center.predict(data_set()))
    assert len(predicted) == 2
    for sample, saliency in predicted:
        assert saliency.shape == sample.truth.shape == MASK.shape
        np.testing.assert_array_equal(saliency, saliency[:, ::-1])
        assert saliency[0, 0] < saliency[0, 1]
    with pytest.raises(PicanetError, match="must be one of center for .*: whole-image"):
        SaliencyScoring().baseline("whole-image")
