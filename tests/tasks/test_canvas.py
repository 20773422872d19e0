"""What is drawn on: the caller's picture, upright, whole, never larger than it was."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tasks.canvas import MAX_SIDE, finished_drawing, open_canvas
from tasks.errors import BadInput, TooLarge
from tests.pictures import encode, exif, scene

PLENTY = 10**8


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_small_picture_is_itself_turned_upright(turn: int) -> None:
    turned = Image.open(io.BytesIO(encode(scene(30, 50), "PNG", exif=exif(turn))))
    canvas, scale = open_canvas(encode(scene(30, 50), "PNG", exif=exif(turn)), PLENTY)
    assert scale == 1
    assert canvas.size == ((30, 50) if turn >= 5 else (50, 30))
    if turn == 1:
        np.testing.assert_array_equal(np.asarray(canvas), np.asarray(turned))


@pytest.mark.parametrize(("height", "width"), [(3000, 40), (40, 3000), (2500, 3000), (1, 20_000)])
def test_a_large_one_is_shrunk_to_the_longest_side(height: int, width: int) -> None:
    canvas, scale = open_canvas(encode(Image.new("RGB", (width, height))), PLENTY)
    assert max(canvas.size) == MAX_SIDE
    assert canvas.size == (max(1, round(width * scale)), max(1, round(height * scale)))


def test_what_can_not_be_read_is_refused() -> None:
    with pytest.raises(BadInput):
        open_canvas(b"nothing", PLENTY)
    with pytest.raises(TooLarge):
        open_canvas(encode(scene(30, 50)), 100)


def test_a_drawing_is_answered_as_jpeg() -> None:
    media_type, content = finished_drawing(scene(30, 50))
    assert (media_type, Image.open(io.BytesIO(content)).format) == ("image/jpeg", "JPEG")
