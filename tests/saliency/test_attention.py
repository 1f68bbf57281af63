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
    Pixel,
    cell_of,
    context_of,
    parse_pixel,
    spread,
    telling_pixels,
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


@pytest.mark.parametrize(
    ("pixel", "cell"),
    [
        ((0, 0), (0, 0)),
        ((639, 479), (27, 27)),
        ((22, 0), (0, 0)),  # 640 / 28 = 22.86 pixels a cell
        ((23, 0), (0, 1)),
        ((0, 17), (1, 0)),  # 480 / 28 = 17.14
        ((0, 16), (0, 0)),
    ],
)
def test_the_cell_under_a_pixel(pixel, cell):
    assert cell_of(Pixel(*pixel), (480, 640), (28, 28)) == cell


@pytest.mark.parametrize(
    ("size", "first", "last"),
    [(1, 14, 14), (5, 2, 25), (28, 0, 27), (29, 0, 27), (20_000, 0, 27)],
)
def test_border_pixels_have_border_cells(size, first, last):
    """Of an image of fewer pixels than cells, those under the pixels' middles."""
    cells = [cell_of(Pixel(x, 0), (1, size), (28, 28))[1] for x in (0, size - 1)]
    assert cells == [first, last]


@pytest.mark.parametrize("pixel", [(640, 0), (0, 480), (-1, 5)])
def test_a_pixel_outside_is_an_error(pixel):
    with pytest.raises(PicanetError, match=r"--pixel .* x must be in 0..639 and y"):
        cell_of(Pixel(*pixel), (480, 640), (28, 28))


def test_parse_pixel():
    assert parse_pixel("120,80") == Pixel(x=120, y=80)
    assert parse_pixel(" 3, 4") == Pixel(3, 4)
    for text in ("120", "a,b", "1,2,3", "-1,5", "1.5,2", ","):
        with pytest.raises(PicanetError, match=f"--pixel must be x,y .*{text}"):
            parse_pixel(text)


def test_telling_pixels_lie_deep_in_their_regions():
    saliency = np.full([280, 560], 0.1, np.float32)
    saliency[100:200, 60:260] = 0.9
    found = telling_pixels(saliency)
    x, y = found["foreground"]
    assert 140 <= y < 160 and 90 <= x < 230
    x, y = found["background"]
    assert saliency[y, x] < 0.5 and x > 350 and 90 < y < 190


@pytest.mark.parametrize("shape", [(1, 1), (10, 20_000), (3, 2)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_telling_pixels_of_maps_of_one_value(shape, value):
    for pixel in telling_pixels(np.full(shape, value, np.float32)).values():
        cell_of(pixel, shape, (28, 28))  # inside


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
