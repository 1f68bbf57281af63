"""Pixels to look from, and the map cells under them."""

import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.drawing.pixels import (
    Pixel,
    cell_of,
    default_query_pixels,
    parse_pixel,
    pick_ranks,
)


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
    with pytest.raises(PicanetError, match=r"`pixel` .* x must be in 0..639 and y"):
        cell_of(Pixel(*pixel), (480, 640), (28, 28))
    with pytest.raises(PicanetError, match=r"^`pixel` .* is outside in/a.png: x must"):
        cell_of(Pixel(*pixel), (480, 640), (28, 28), image="in/a.png")


def test_parse_pixel():
    assert parse_pixel("120,80") == Pixel(x=120, y=80)
    assert parse_pixel(" 3, 4") == Pixel(3, 4)
    for text in ("120", "a,b", "1,2,3", "-1,5", "1.5,2", ","):
        with pytest.raises(PicanetError, match=f"`pixel` must be x,y .*{text}"):
            parse_pixel(text)


def test_default_query_pixels_lie_deep_in_their_regions():
    saliency = np.full([280, 560], 0.1, np.float32)
    saliency[100:200, 60:260] = 0.9
    found = default_query_pixels(saliency)
    x, y = found["foreground"]
    assert 140 <= y < 160 and 90 <= x < 230
    x, y = found["background"]
    assert saliency[y, x] < 0.5 and x > 350 and 90 < y < 190


@pytest.mark.parametrize("rank", [-1, 0, 3])
def test_objects_are_counted_from_1(rank):
    centers = {"cat": Pixel(1, 2), "dog": Pixel(3, 4)}
    assert pick_ranks(centers, [2, 1], "a.png") == centers
    with pytest.raises(PicanetError, match=f"`box` {rank}: a.png has 2 boxes"):
        pick_ranks(centers, [rank], "a.png")


@pytest.mark.parametrize("shape", [(1, 1), (10, 20_000), (3, 2)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_default_query_pixels_of_constant_maps_are_inside(shape, value):
    for pixel in default_query_pixels(np.full(shape, value, np.float32)).values():
        cell_of(pixel, shape, (28, 28))  # inside
