"""Global contrast: the share of attention on the other side, by hand."""

import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.saliency.attention_shares import shares_table
from picanet_tf.saliency.contrast import ContrastStatistics


def test_statistics_equal_a_hand_computation():
    # A 4 x 4 map whose grid is all 16 positions; the left column is foreground.
    mask = np.zeros([1, 4, 4, 1])
    mask[:, :, 0] = 1
    attention = np.zeros([1, 4, 4, 16], np.float32)
    # Foreground: 0.7 on position 3 (background), 0.3 on position 0 (foreground).
    attention[:, :, 0, 3], attention[:, :, 0, 0] = 0.7, 0.3
    # Background: half of the pixels look at the foreground, the others evenly.
    attention[:, :2, 1:, 4] = 1.0
    attention[:, 2:, 1:] = 1 / 16
    statistics = ContrastStatistics()
    statistics.update(attention, mask)
    result = statistics.result()
    assert result["images"] == 1
    there = result["foreground_on_background"]
    assert there["attention"] == pytest.approx(0.7)
    assert there["uniform"] == 0.75
    assert there["images_above_uniform"] == 0
    back = result["background_on_foreground"]
    assert back["attention"] == pytest.approx((1 + 0.25) / 2)
    assert back["uniform"] == 0.25
    assert back["images_above_uniform"] == 1


def test_uniform_attention_has_the_uniform_share():
    rng = np.random.default_rng(0)
    mask = (rng.random([5, 28, 28, 1]) > 0.7).astype(np.float32)
    statistics = ContrastStatistics()
    statistics.update(np.full([5, 28, 28, 100], 0.01, np.float32), mask)
    for name in ("foreground_on_background", "background_on_foreground"):
        share = statistics.result()[name]
        assert share["attention"] == pytest.approx(share["uniform"], abs=1e-5)


def test_only_positions_of_the_grid_count():
    """28 x 28: positions 0, 3, ..., 27; an object between them is not seen."""
    mask = np.zeros([1, 28, 28, 1])
    mask[:, 4:6, 4:6] = 1
    statistics = ContrastStatistics()
    uniform = np.full([1, 28, 28, 100], 0.01, np.float32)
    statistics.update(uniform, mask)
    statistics.update(uniform, np.zeros([1, 28, 28, 1]))
    statistics.update(uniform, np.ones([1, 28, 28, 1]))
    with pytest.raises(PicanetError, match="None of 3 images"):
        statistics.result()
    mask[:, 6, 6] = 1  # on the grid
    statistics.update(uniform, mask)
    result = statistics.result()
    assert (result["images"], result["images_left_out"]) == (1, 3)
    assert result["background_on_foreground"]["uniform"] == 0.01
    head, *_, last = shares_table({"D6": result}).splitlines()
    assert head.startswith("D6, 1 images ")
    assert last == (
        "  3 of 4 images excluded: no foreground or no background on the map or the "
        "grid"
    )
    table = shares_table({"D6": {**result, "images_left_out": 0}})
    assert "excluded" not in table and len(table.splitlines()) == 3
