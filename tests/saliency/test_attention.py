"""Where a pixel looks: against the layers' own window order, and by hand."""

import numpy as np
import pytest

from picanet_tf.errors import PicanetError
from picanet_tf.layers.attending import (
    global_attention_pool,
    local_attention_pool,
    local_window,
)
from picanet_tf.saliency.attention import (
    ContrastStatistics,
    context_of,
    contrast_table,
    spread,
)


def one_hot(size, positions, index):
    attention = np.zeros([size, size, positions], np.float32)
    attention[..., index] = 1
    return attention


def coordinates(size):
    """A map whose two channels are each position's row and column."""
    return np.stack(np.indices([size, size]), axis=-1).astype(np.float32)


def looked_at(context):
    row, column = np.unravel_index(np.argmax(context.weights), context.weights.shape)
    return context.rows[row], context.columns[column]


@pytest.mark.parametrize("index", [0, 7, 24, 31, 48])
def test_local_positions_are_those_that_the_layers_attend_to(index):
    attention = one_hot(28, 49, index)
    met = local_attention_pool(
        coordinates(28)[None], attention[None], kernel_size=7, dilation_rate=2
    )
    for cell in [(12, 15), (6, 21)]:
        context = context_of(attention, "AC", cell)
        assert looked_at(context) == tuple(met[0].numpy()[cell])


@pytest.mark.parametrize("index", [0, 9, 10, 57, 99])
@pytest.mark.parametrize("size", [28, 31, 12])
def test_global_positions_are_those_that_the_layers_attend_to(index, size):
    attention = one_hot(size, 100, index)
    step = (size - 1) // 9
    met = global_attention_pool(
        coordinates(size)[None], attention[None], kernel_size=10, dilation_rate=step
    )
    context = context_of(attention, "GAP", (3, 4))
    assert looked_at(context) == tuple(met[0].numpy()[3, 4])
    assert context.step == step


def test_a_local_window():
    assert list(local_window(5, 7, 2)) == [-1, 1, 3, 5, 7, 9, 11]


def test_the_region_of_a_context():
    gates = np.ones([28, 28, 49], np.float32)
    box = context_of(gates, "LAP", (14, 14)).box
    assert box == (8 / 28, 8 / 28, 21 / 28, 21 / 28)  # 13 positions
    # At a corner it ends with the image.
    assert context_of(gates, "AC", (0, 27)).box == (21 / 28, 0, 1, 7 / 28)
    grid = np.ones([28, 28, 100], np.float32)
    assert context_of(grid, "GAP", (0, 27)).box == (0, 0, 1, 1)


def test_the_drawn_attention_peaks_where_it_should():
    # Window position 10 is row 1, column 3: (cell - 4, cell).
    context = context_of(one_hot(28, 49, 10), "AC", (14, 14))
    drawn = spread(context, (280, 560))
    y, x = np.unravel_index(np.nanargmax(drawn), drawn.shape)
    assert abs(y - 104.5) <= 1 and abs(x - 289.5) <= 1
    assert np.nanmax(drawn) == pytest.approx(1, abs=0.06)
    # Seen inside the region alone: rows 80..209, columns 160..419.
    seen = np.argwhere(~np.isnan(drawn))
    assert seen.min(axis=0).tolist() == [80, 160]
    assert seen.max(axis=0).tolist() == [209, 419]
    # Grid position 57 is row 5, column 7: (15, 21).
    drawn = spread(context_of(one_hot(28, 100, 57), "GAP", (0, 0)), (280, 280))
    y, x = np.unravel_index(np.argmax(drawn), drawn.shape)
    assert abs(y - 154.5) <= 1 and abs(x - 214.5) <= 1
    assert not np.isnan(drawn).any()


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


def test_the_grid_alone_is_looked_at():
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
    head, *_, last = contrast_table({"D6": result}).splitlines()
    assert head.startswith("D6, 1 images ")
    assert last == (
        "  3 of 4 images left out: no foreground or no background on the map or the "
        "grid"
    )
    table = contrast_table({"D6": {**result, "images_left_out": 0}})
    assert "left out" not in table and len(table.splitlines()) == 3
